"""What an INT8 graph is made of, its size, and how it answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from distilroberta.quantize import onnx_file
from distilroberta.quantize.int8 import to_int8

Run = Callable[[Any, dict[str, NDArray[Any]]], Any]


def kinds(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


@pytest.mark.parametrize("views", ["one", "two"])
@pytest.mark.parametrize("graph", ["standard", "served"])
def test_fill_mask_has_one_lookup_and_one_projection_of_8_bits(
    request: pytest.FixtureRequest, graph: str, views: Any
) -> None:
    model = to_int8(request.getfixturevalue(graph), views)
    found = kinds(model)
    assert found["GatherBlockQuantized"] == found["MatMulNBits"] == 1
    assert found["Gemm"] == found["DequantizeLinear"] == 0
    (projection,) = (node for node in model.graph.node if node.op_type == "MatMulNBits")
    settings = {attribute.name: attribute.i for attribute in projection.attribute}
    assert (settings["bits"], settings["accuracy_level"], settings["K"]) == (8, 4, 64)


def test_classification_has_a_lookup_and_no_projection(classifier_graph: onnx.ModelProto) -> None:
    found = kinds(to_int8(classifier_graph))
    assert found["GatherBlockQuantized"] == 1
    assert found["MatMulNBits"] == found["DequantizeLinear"] == 0


def test_operators_of_onnxruntime_are_declared_once(standard: onnx.ModelProto) -> None:
    found = [(one.domain, one.version) for one in to_int8(standard).opset_import]
    assert sorted(found) == [("", 17), ("com.microsoft", 1)]


def test_original_stays_as_it_was(standard: onnx.ModelProto) -> None:
    before = standard.SerializeToString(deterministic=True)
    to_int8(standard)
    assert standard.SerializeToString(deterministic=True) == before


def test_standard_and_served_graph_hold_the_same_large_weights(
    standard: onnx.ModelProto, served: onnx.ModelProto
) -> None:
    held = [
        {tensor.raw_data for tensor in model.graph.initializer if len(tensor.raw_data) >= 1024}
        for model in (to_int8(standard, "one"), to_int8(served, "two"))
    ]
    assert held[0] == held[1]


def test_file_is_about_a_quarter(standard: onnx.ModelProto, tmp_path: Path) -> None:
    """A block of 64 codes has a scale of 4 bytes; positions, norms and biases stay FP32."""
    onnx_file.write(standard, tmp_path / "fp32.onnx")
    onnx_file.write(to_int8(standard), tmp_path / "int8.onnx")
    single, small = ((tmp_path / f"{n}.onnx").stat().st_size for n in ("fp32", "int8"))
    kept = sum(
        len(tensor.raw_data)
        for tensor in standard.graph.initializer
        if len(tensor.dims) != 2 or "position" in tensor.name
    )
    assert small < single / 4 * (1 + 4 / 64) + kept + 32_000


@pytest.mark.parametrize("graph", ["standard", "served", "classifier_graph"])
def test_answers_point_where_the_fp32_ones_do(
    request: pytest.FixtureRequest, feeds: dict[str, Any], run: Run, graph: str
) -> None:
    model = request.getfixturevalue(graph)
    wanted, found = run(model, feeds), run(to_int8(model), feeds)
    assert found.dtype == np.float32
    assert found.shape == wanted.shape
    cosine = (found * wanted).sum() / (np.linalg.norm(found) * np.linalg.norm(wanted))
    assert cosine > 0.98


def test_served_graph_without_a_mask_gives_no_rows(
    served: onnx.ModelProto, feeds: dict[str, Any], run: Run
) -> None:
    unmasked = {**feeds, "input_ids": np.minimum(feeds["input_ids"], 250)}
    assert run(to_int8(served, "two"), unmasked).shape[0] == 0
