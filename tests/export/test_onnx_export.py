"""The standard graphs have the inputs and outputs of optimum's, by name, order and axes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from optimum.exporters.onnx.model_configs import RobertaOnnxConfig

from distilroberta.export import onnx_export
from distilroberta.export.checkpoint import Loaded
from distilroberta.quantize.signature import tensor_specs
from distilroberta.runtime.manifest import TensorSpec

Load = Callable[[Path], Loaded]


def dynamic_axes(specs: tuple[TensorSpec, ...]) -> dict[str, dict[int, str]]:
    return {
        spec.name: {i: size for i, size in enumerate(spec.shape) if isinstance(size, str)}
        for spec in specs
    }


@pytest.mark.parametrize("kind", ["masker", "labeller", "tagger", "answerer"])
def test_standard_graph_is_described_as_optimums(
    request: pytest.FixtureRequest, load_folder: Load, kind: str
) -> None:
    loaded = load_folder(request.getfixturevalue(kind))
    expected = RobertaOnnxConfig(loaded.model.config, task=loaded.task)
    standard, _ = onnx_export.export(loaded)
    graph = standard.model.graph
    inputs, outputs = (dynamic_axes(tensor_specs(side)) for side in (graph.input, graph.output))
    assert list(inputs.items()) == list(expected.inputs.items())
    assert list(outputs.items()) == list(expected.outputs.items())
    assert standard.outputs == outputs


@pytest.mark.parametrize(
    ("kind", "shapes"),
    [
        ("tagger", {"logits": ("batch_size", "sequence_length", 5)}),
        (
            "answerer",
            {
                "start_logits": ("batch_size", "sequence_length"),
                "end_logits": ("batch_size", "sequence_length"),
            },
        ),
    ],
)
def test_what_reads_every_token_is_served_as_it_is(
    request: pytest.FixtureRequest, load_folder: Load, kind: str, shapes: dict[str, Any]
) -> None:
    standard, served = onnx_export.export(load_folder(request.getfixturevalue(kind)))
    assert served is None
    outputs = tensor_specs(standard.model.graph.output)
    assert {spec.name: spec.shape for spec in outputs} == shapes
    assert {spec.dtype for spec in outputs} == {"float32"}
