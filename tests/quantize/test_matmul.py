"""Matrix products in 8 bits: the codes, the graph, and the integers it computes with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import hypothesis
import numpy as np
import onnx
import pytest
from hypothesis import strategies
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from distilroberta.quantize.matmul import quantize_columns, quantize_products

Run = Callable[[Any, dict[str, NDArray[Any]]], Any]
Weight = NDArray[np.float32]

LAYERS = 2

# Weights a model may hold. With subnormal ones the scale itself would lose its precision.
weights = arrays.arrays(
    np.float32,
    arrays.array_shapes(min_dims=2, max_dims=2, max_side=9),
    elements=strategies.floats(-1e4, 1e4, width=32, allow_subnormal=False)
    | strategies.sampled_from([0.0, 1e-6, -1e-6]),
)


def quantized(model: onnx.ModelProto) -> tuple[onnx.ModelProto, int]:
    copied = onnx.ModelProto.FromString(model.SerializeToString())
    return copied, quantize_products(copied)


def kinds(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


def product_of(*columns: Weight) -> onnx.ModelProto:
    """A graph of one output that adds up the products of its input with some weights."""
    names = [f"w{index}" for index in range(len(columns))]
    nodes = [helper.make_node("MatMul", ["x", name], [f"x{name}"]) for name in names]
    nodes.append(helper.make_node("Sum", [f"x{name}" for name in names], ["y"]))
    ends = [helper.make_tensor_value_info(end, TensorProto.FLOAT, ["n", None]) for end in "xy"]
    tensors = [numpy_helper.from_array(*pair) for pair in zip(columns, names, strict=True)]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], initializer=tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@hypothesis.settings(max_examples=200, deadline=None, derandomize=True)
@hypothesis.given(weight=weights)
def test_value_is_at_most_half_a_scale_away(weight: Weight) -> None:
    codes, scales = quantize_columns(weight)
    assert (codes.dtype, scales.dtype) == (np.int8, np.float32)
    assert (codes.shape, scales.shape) == (weight.shape, weight.shape[1:])
    error = np.abs(codes.astype(np.float64) * scales - weight)
    assert (error <= 0.5001 * scales.astype(np.float64)).all()


@hypothesis.settings(max_examples=200, deadline=None, derandomize=True)
@hypothesis.given(weight=weights)
def test_codes_are_symmetric_and_keep_the_sign(weight: Weight) -> None:
    codes, scales = quantize_columns(weight)
    assert codes.min() >= -127
    assert (codes * np.sign(weight) >= 0).all()
    opposite, same_scales = quantize_columns(-weight)
    assert np.array_equal(opposite, -codes)
    assert np.array_equal(same_scales, scales)


@hypothesis.settings(max_examples=200, deadline=None, derandomize=True)
@hypothesis.given(weight=weights)
def test_largest_value_of_a_column_takes_the_whole_range(weight: Weight) -> None:
    codes, _ = quantize_columns(weight)
    largest = np.abs(codes.astype(int)).max(axis=0)
    assert np.array_equal(largest, np.where(np.abs(weight).max(axis=0) > 0, 127, 0))


def test_column_of_zeros_stays_zero_beside_others() -> None:
    codes, scales = quantize_columns(np.float32([[0, 127], [0, -63]]))
    assert codes.tolist() == [[0, 127], [0, -63]]
    assert scales.tolist() == [1, 1]


@pytest.mark.parametrize("rows", [1, 5])
def test_product_is_that_of_the_integers(run: Run, rows: int) -> None:
    random = np.random.default_rng(rows)
    weight = random.normal(size=(32, 7)).astype(np.float32)
    x = random.normal(size=(rows, 32)).astype(np.float32)
    found = run(quantized(product_of(weight))[0], {"x": x})

    # DynamicQuantizeLinear: the range holds zero; 255 steps; zero point rounded half to even.
    low, high = min(x.min(), 0), max(x.max(), 0)
    scale = np.float32((high - low) / np.float32(255))
    zero = np.clip(np.rint(-low / scale), 0, 255)
    x_codes = np.clip(np.rint(x / scale) + zero, 0, 255).astype(np.int64)
    codes, scales = quantize_columns(weight)
    integers = (x_codes - int(zero)) @ codes.astype(np.int64)
    wanted = integers.astype(np.float32) * (scale * scales)
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=0)
    np.testing.assert_allclose(found, x @ weight, atol=0.2)


def test_input_of_zeros_gives_zeros(run: Run) -> None:
    model, _ = quantized(product_of(np.float32([[1, -2], [3, 4]])))
    assert run(model, {"x": np.zeros((3, 2), np.float32)}).tolist() == [[0, 0]] * 3


def test_value_that_several_products_read_is_quantized_once() -> None:
    random = np.random.default_rng(0)
    columns = [random.normal(size=(8, 4)).astype(np.float32) for _ in range(3)]
    model, count = quantized(product_of(*columns))
    assert count == 3
    assert kinds(model)["MatMulInteger"] == 3
    assert kinds(model)["DynamicQuantizeLinear"] == 1


def test_weight_that_two_products_read_is_stored_once() -> None:
    model = product_of(*np.ones((2, 8, 4), np.float32))
    model.graph.node[1].input[1] = "w0"
    found, count = quantized(model)
    assert count == 2
    assert [tensor.name for tensor in found.graph.initializer] == ["w0_quantized", "w0_scale"]


@pytest.mark.parametrize(
    ("graph", "products", "activations"),
    [
        # A layer: Q, K and V as one, the attention output, two of the feed-forward part. The last
        # layer has Q apart from K and V, which read the same value unless it is for some tokens.
        ("standard", 4 * LAYERS + 1 + 1, 4 * LAYERS + 1),
        ("served", 4 * LAYERS + 1 + 1, 4 * LAYERS + 1 + 1),
        ("classifier_graph", 4 * LAYERS + 1 + 2, 4 * LAYERS + 1 + 2),
    ],
)
def test_every_product_with_a_weight_is_quantized_and_none_of_attention(
    request: pytest.FixtureRequest, graph: str, products: int, activations: int
) -> None:
    model, count = quantized(request.getfixturevalue(graph))
    found = kinds(model)
    assert count == found["MatMulInteger"] == products
    assert found["DynamicQuantizeLinear"] == activations
    assert found["MatMul"] == 2 * LAYERS


def test_no_weight_in_single_precision_is_left_behind(standard: onnx.ModelProto) -> None:
    model, _ = quantized(standard)
    large = [
        tensor.name
        for tensor in model.graph.initializer
        if tensor.data_type == TensorProto.FLOAT and len(tensor.dims) == 2
    ]
    assert [name.rpartition(".")[2] for name in large] == ["word_embeddings", "position_embeddings"]


def test_quantized_graph_is_valid(standard: onnx.ModelProto) -> None:
    onnx.checker.check_model(quantized(standard)[0], full_check=True)
