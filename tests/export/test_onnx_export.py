"""The graphs have the inputs and outputs of optimum's, and nothing onnxruntime would slow down."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
from optimum.exporters.onnx.model_configs import RobertaOnnxConfig

from distilroberta.export import onnx_export
from distilroberta.export.checkpoint import Loaded
from distilroberta.quantize.signature import tensor_specs
from distilroberta.runtime import Artifact
from distilroberta.runtime.manifest import TensorSpec

Load = Callable[[Path], Loaded]


def dynamic_axes(specs: tuple[TensorSpec, ...]) -> dict[str, dict[int, str]]:
    return {
        spec.name: {i: size for i, size in enumerate(spec.shape) if isinstance(size, str)}
        for spec in specs
    }


@pytest.mark.parametrize("kind", ["masker", "labeller", "tagger", "answerer", "embedder"])
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
        ("embedder", {"last_hidden_state": ("batch_size", "sequence_length", 64)}),
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


def optimized(path: Path, to: Path) -> onnx.GraphProto:
    """What onnxruntime makes of a graph when it loads it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.optimized_model_filepath = str(to)
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return onnx.load(str(to), load_external_data=False).graph


@pytest.mark.parametrize("variant", ["fp32", "int8"])
@pytest.mark.parametrize(
    "kind",
    [
        "mini_artifact",
        "classifier_artifact",
        "tagger_artifact",
        "answerer_artifact",
        "embedder_artifact",
    ],
)
def test_layer_norms_stay_apart_from_the_sum_before(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str, variant: str
) -> None:
    """`SkipLayerNormalization` takes several times as long on a CPU as the two."""
    artifact: Artifact = request.getfixturevalue(kind)
    spec = artifact.variant(variant)
    for name in sorted({spec.graph, spec.standard}):
        path = artifact.file(name)
        norms = [
            node.op_type
            for node in optimized(path, tmp_path / "optimized.onnx").node
            if "LayerNormalization" in node.op_type
        ]
        before = [
            node.op_type for node in onnx.load(str(path), load_external_data=False).graph.node
        ]
        assert norms == ["LayerNormalization"] * before.count("LayerNormalization")
        assert norms
