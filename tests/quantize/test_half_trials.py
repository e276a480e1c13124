"""What trials measure is what numpy finds with values rounded by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from distilroberta.quantize.half_trials import Trial, Trials, float_values

Array = NDArray[Any]

RNG = np.random.default_rng(0)
WEIGHT = RNG.normal(size=(8, 5)).astype(np.float32)
BIAS = RNG.normal(size=5).astype(np.float32)
FEEDS: list[dict[str, Array]] = [
    {"x": (RNG.normal(size=(rows, 8)) * size).astype(np.float32)}
    for rows, size in [(1, 1.0), (4, 1e-6), (3, 200.0)]
]


def in_half(values: Array) -> Array:
    with np.errstate(over="ignore"):
        return values.astype(np.float16).astype(np.float32)


def worst_row(found: Array, exact: Array) -> float:
    error = np.linalg.norm((found - exact).astype(np.float64), axis=-1)
    return float((error / np.linalg.norm(exact.astype(np.float64), axis=-1)).max())


def graph_of(nodes: Sequence[onnx.NodeProto], **weights: Array) -> onnx.ModelProto:
    """Make a graph of rows of 8; it ends in `y`."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


@pytest.fixture
def linear() -> onnx.ModelProto:
    """`y = transpose(transpose(x @ weight)) + bias`."""
    nodes = [
        helper.make_node("MatMul", ["x", "weight"], ["product"]),
        helper.make_node("Transpose", ["product"], ["turned"], perm=[1, 0]),
        helper.make_node("Transpose", ["turned"], ["same"], perm=[1, 0]),
        helper.make_node("Shape", ["product"], ["shape"]),
        helper.make_node("Add", ["same", "bias"], ["y"]),
    ]
    return graph_of(nodes, weight=WEIGHT, bias=BIAS)


def test_floats_are_found_without_the_weights(linear: onnx.ModelProto) -> None:
    names = {"x", "weight", "bias", "product", "turned", "same", "y"}
    assert float_values(linear) == names


def test_nodes_that_compute_are_tried(linear: onnx.ModelProto) -> None:
    trials = Trials(linear)
    assert trials.nodes == ("product", "y")
    assert trials.reading(frozenset({"weight"})) == ["product"]
    assert trials.reading(frozenset({trials.origins["product"]})) == ["y"]


def test_sizes_are_the_largest_over_all_batches(linear: onnx.ModelProto) -> None:
    trials = Trials(linear)
    sizes, _ = trials.measure(["product", "x"], [], FEEDS)
    expected = max(np.abs(feed["x"]).max() for feed in FEEDS)
    assert sizes["x"] == pytest.approx(expected)
    expected = max(np.abs(feed["x"] @ WEIGHT).max() for feed in FEEDS)
    assert sizes["product"] == pytest.approx(expected, rel=1e-5)
    assert trials.weight_sizes() == {
        "weight": pytest.approx(np.abs(WEIGHT).max()),
        "bias": pytest.approx(np.abs(BIAS).max()),
    }


@pytest.mark.parametrize("only", [None, "x", "weight"])
def test_loss_of_a_product(linear: onnx.ModelProto, only: str | None) -> None:
    trial = Trial("product", only=only)
    _, losses = Trials(linear).measure([], [trial], FEEDS)
    expected = []
    for feed in FEEDS:
        x = feed["x"] if only == "weight" else in_half(feed["x"])
        weight = WEIGHT if only == "x" else in_half(WEIGHT)
        expected.append(worst_row(x @ weight, feed["x"] @ WEIGHT))
    assert losses[trial] == pytest.approx(max(expected), rel=0.01)
    if only != "weight":
        assert losses[trial] > 0.01, "1e-6 is not normal in half precision"


def test_value_in_fp32_is_computed_again_from_what_is_rounded(linear: onnx.ModelProto) -> None:
    trials = Trials(linear)
    product = trials.origins["product"]
    plain, exact = Trial("y"), Trial("y", frozenset({product}))
    _, losses = trials.measure([], [plain, exact], FEEDS)
    rounded, again = [], []
    for x in (feed["x"] for feed in FEEDS):
        bias = in_half(BIAS)
        rounded.append(worst_row(in_half(x @ WEIGHT) + bias, x @ WEIGHT + BIAS))
        again.append(worst_row(in_half(x) @ in_half(WEIGHT) + bias, x @ WEIGHT + BIAS))
    assert losses[plain] == pytest.approx(max(rounded), rel=0.01)
    assert losses[exact] == pytest.approx(max(again), rel=0.01)
    assert trials.rounded(plain) == {product, "bias"}
    assert trials.rounded(exact) == {"x", "weight", "bias"}


def test_nothing_rounded_is_nothing_lost(linear: onnx.ModelProto) -> None:
    trial = Trial("y", frozenset({"bias", "x", "weight", Trials(linear).origins["product"]}))
    trials = Trials(linear)
    assert trials.rounded(trial) == frozenset()
    _, losses = trials.measure([], [trial], FEEDS)
    assert losses[trial] == 0


def test_overflow_loses_everything(linear: onnx.ModelProto) -> None:
    x = np.ones((2, 8), np.float32)
    x[1] = 1e5
    trial = Trial("product", only="x")
    _, losses = Trials(linear).measure([], [trial], [{"x": x}])
    assert losses[trial] == np.inf


def test_row_of_zeros_loses_nothing(linear: onnx.ModelProto) -> None:
    trial = Trial("product")
    _, losses = Trials(linear).measure([], [trial], [{"x": np.zeros((1, 8), np.float32)}])
    assert losses[trial] == 0


def test_graph_is_left_as_it_was(standard: onnx.ModelProto, feeds: Any) -> None:
    before = standard.SerializeToString(deterministic=True)
    trials = Trials(standard)
    trials.measure(trials.nodes, [Trial(node) for node in trials.nodes], [feeds])
    assert standard.SerializeToString(deterministic=True) == before
    with pytest.raises(Exception, match="nothing"):
        trials.measure(["nothing"], [], [feeds])
    assert standard.SerializeToString(deterministic=True) == before
