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

# The first opset with LayerNormalization. Every runtime that people still run reads this one; what
# later ones add is for the variants that need it.
OPSET = 17

# The outputs of a graph in order: the name of each, and its dynamic axes.
Outputs = dict[str, dict[int, str]]

# Dynamic axes, by index. The names are optimum's; `masks` is the one it does not have.
_TEXTS = {0: "batch_size"}
TOKENS = {0: "batch_size", 1: "sequence_length"}
_MASKS = {0: "masks"}

INPUTS = {"input_ids": TOKENS, "attention_mask": TOKENS}
_STANDARD: dict[str, tuple[type[nn.Module], Outputs]] = {
    "fill-mask": (graphs.FillMask, {"logits": TOKENS}),
    "text-classification": (graphs.TextClassification, {"logits": _TEXTS}),
    "token-classification": (graphs.TokenClassification, {"logits": TOKENS}),
    "question-answering": (
        graphs.QuestionAnswering,
        {"start_logits": TOKENS, "end_logits": TOKENS},
    ),
    "feature-extraction": (graphs.FeatureExtraction, {"last_hidden_state": TOKENS}),
}
_EXAMPLE_SHAPE = (2, 9)  # neither 0 nor 1, which tracing may take for constants


@dataclass(frozen=True)
class ExportedGraph:
    """A graph and what it gives."""

    model: onnx.ModelProto
    outputs: Outputs


def export(loaded: Loaded) -> tuple[ExportedGraph, ExportedGraph | None]:
    """Export a checkpoint's graphs in FP32.

    Returns:
        The graph with the inputs and outputs other tools expect, and the graph the runtime runs,
        None where the first one is served.
    """
    kind, outputs = _STANDARD[loaded.task]
    module = kind(loaded.model)
    standard = _export(module, loaded, outputs)
    if not isinstance(module, graphs.FillMask):
        return standard, None
    served = graphs.ServedFillMask(module, loaded.tokenizer.mask_token_id)
    return standard, _export(served, loaded, {"logits": _MASKS})


def _export(module: nn.Module, loaded: Loaded, outputs: Outputs) -> ExportedGraph:
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
            output_names=list(outputs),
            dynamic_axes={**INPUTS, **outputs},
            opset_version=OPSET,
            dynamo=False,
        )
    model = onnx.load_model_from_string(buffer.getvalue())
    _fix_width(model.graph, outputs, config.hidden_size)
    return ExportedGraph(_without_copies(_without_traces(model)), outputs)


def _fix_width(graph: onnx.GraphProto, outputs: Outputs, hidden_size: int) -> None:
    # The exporter infers the width of logits, and gives that of hidden states a name.
    for value in graph.output:
        dimensions = value.type.tensor_type.shape.dim
        last = len(dimensions) - 1
        if last not in outputs[value.name] and not dimensions[last].dim_value:
            dimensions[last].dim_value = hidden_size


def _without_copies(model: onnx.ModelProto) -> onnx.ModelProto:
    # The exporter stores equal weights once, and gives the others their value by an Identity.
    weights = {tensor.name for tensor in model.graph.initializer}
    same = {
        node.output[0]: node.input[0]
        for node in model.graph.node
        if node.op_type == "Identity" and node.input[0] in weights
    }
    kept = [node for node in model.graph.node if node.output[0] not in same]
    del model.graph.node[:]
    model.graph.node.extend(kept)
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = same.get(name, name)
    return model


def _without_traces(model: onnx.ModelProto) -> onnx.ModelProto:
    # Doc strings and metadata hold source lines of the machine that exported.
    for node in model.graph.node:
        node.ClearField("doc_string")
        del node.metadata_props[:]
    model.ClearField("doc_string")
    model.graph.ClearField("doc_string")
    model.producer_name, model.producer_version = "distilroberta-onnx", ""
    return model
