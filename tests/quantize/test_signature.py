"""The inputs and outputs that a manifest lists are those of the graph."""

from __future__ import annotations

from typing import Any

import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from distilroberta.quantize.signature import tensor_specs
from distilroberta.runtime.manifest import TensorSpec

ONNXRUNTIME = {"int64": "tensor(int64)", "float32": "tensor(float)"}


def test_dtypes_sizes_and_axis_names() -> None:
    values = [
        helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", 7]),
        helper.make_tensor_value_info("half", TensorProto.FLOAT16, ["masks", 50265]),
        helper.make_tensor_value_info("one", TensorProto.FLOAT, []),
    ]
    assert tensor_specs(values) == (
        TensorSpec("ids", "int64", ("batch", 7)),
        TensorSpec("half", "float16", ("masks", 50265)),
        TensorSpec("one", "float32", ()),
    )
    assert tensor_specs([]) == ()


@pytest.mark.parametrize(
    "exported", ["wide_fill_mask", "wide_classifier", "wide_tagger", "wide_answerer"]
)
def test_signature_of_a_graph_is_the_one_onnxruntime_sees(
    request: pytest.FixtureRequest, exported: str
) -> None:
    graphs = request.getfixturevalue(exported).graphs
    models: list[Any] = [model for model in (graphs.standard, graphs.served) if model is not None]
    for model in models:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        for kind, values in (
            (model.graph.input, session.get_inputs()),
            (model.graph.output, session.get_outputs()),
        ):
            found = [(one.name, ONNXRUNTIME[one.dtype], one.shape) for one in tensor_specs(kind)]
            assert found == [(value.name, value.type, tuple(value.shape)) for value in values]


def test_served_graph_gives_masks(served: onnx.ModelProto) -> None:
    (logits,) = tensor_specs(served.graph.output)
    assert logits.shape[0] == "masks"
    assert [spec.shape for spec in tensor_specs(served.graph.input)] == [
        ("batch_size", "sequence_length")
    ] * 2
