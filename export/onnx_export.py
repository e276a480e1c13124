"""PyTorch modules to ONNX graphs in memory."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import Any

import onnx
import torch
from torch import nn

from distilroberta.export import graphs
from distilroberta.export.checkpoint import Loaded

# The first opset with LayerNormalization. Later ones add nothing these graphs use, and every
# runtime that people still run reads this one.
OPSET = 17

INPUTS = {
    "input_ids": {0: "batch_size", 1: "sequence_length"},
    "attention_mask": {0: "batch_size", 1: "sequence_length"},
}
_EXAMPLE_SHAPE = (2, 9)  # neither 0 nor 1, which tracing may take for constants


@dataclass(frozen=True)
class ExportedGraph:
    """A graph and the dynamic axes of its one output, `logits`."""

    model: onnx.ModelProto
    output_axes: dict[int, str]


def export(loaded: Loaded) -> tuple[ExportedGraph, ExportedGraph | None]:
    """Export a checkpoint's graphs in FP32.

    Returns:
        The graph with the inputs and outputs other tools expect, and the graph the runtime runs,
        None where the first one is served.
    """
    if loaded.task != "fill-mask":
        return _export(graphs.TextClassification(loaded.model), loaded, {0: "batch_size"}), None
    module = graphs.FillMask(loaded.model)
    standard = _export(module, loaded, {0: "batch_size", 1: "sequence_length"})
    served = graphs.ServedFillMask(module, loaded.tokenizer.mask_token_id)
    return standard, _export(served, loaded, {0: "masks"})


def _export(module: nn.Module, loaded: Loaded, output_axes: dict[int, str]) -> ExportedGraph:
    config: Any = loaded.model.config
    ids = torch.full(_EXAMPLE_SHAPE, config.pad_token_id + 1)
    if loaded.tokenizer.mask_token_id is not None:
        ids[:, 1] = loaded.tokenizer.mask_token_id
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The tracing exporter announces its own replacement by the dynamo one, which specializes
        # dynamic axes of these graphs (https://github.com/pytorch/pytorch/issues/152018).
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            (ids, torch.ones_like(ids)),
            buffer,  # type: ignore[arg-type]
            input_names=list(INPUTS),
            output_names=["logits"],
            dynamic_axes={**INPUTS, "logits": output_axes},
            opset_version=OPSET,
            dynamo=False,
        )
    model = onnx.load_model_from_string(buffer.getvalue())
    return ExportedGraph(_without_traces(model), output_axes)


def _without_traces(model: onnx.ModelProto) -> onnx.ModelProto:
    # Doc strings and metadata hold source lines of the machine that exported.
    for node in model.graph.node:
        node.ClearField("doc_string")
        del node.metadata_props[:]
    model.ClearField("doc_string")
    model.graph.ClearField("doc_string")
    model.producer_name, model.producer_version = "distilroberta-onnx", ""
    return model


def tensor_specs(model: onnx.ModelProto) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the inputs and outputs of a graph as `TensorSpec` fields."""
    return _specs(model.graph.input), _specs(model.graph.output)


def _specs(values: Any) -> list[dict[str, Any]]:
    return [
        {
            "name": value.name,
            "dtype": str(
                onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name
            ),
            "shape": tuple(
                dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim
            ),
        }
        for value in values
    ]
