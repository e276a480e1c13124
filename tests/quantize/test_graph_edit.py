"""Edits of a graph that keep it a valid one."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from distilroberta.quantize import graph_edit

Run = Callable[[onnx.ModelProto, dict[str, NDArray[Any]]], Any]

EXPORTED = ["wide_fill_mask", "wide_classifier", "wide_tagger", "wide_answerer"]


def raised(model: onnx.ModelProto, opset: int = 21) -> onnx.ModelProto:
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    graph_edit.raise_opset(copied, opset)
    return copied


def default_opset(model: onnx.ModelProto) -> int:
    return next(int(one.version) for one in model.opset_import if not one.domain)


@pytest.mark.parametrize("exported", EXPORTED)
def test_every_exported_graph_is_valid_at_the_newer_opset(
    request: pytest.FixtureRequest, exported: str
) -> None:
    graphs = request.getfixturevalue(exported).graphs
    for model in (graphs.standard, graphs.served):
        if model is not None:
            newer = raised(model)
            assert default_opset(newer) == 21
            onnx.checker.check_model(newer, full_check=True)


@pytest.mark.parametrize("graph", ["standard", "served", "classifier_graph"])
def test_newer_opset_answers_the_same(
    request: pytest.FixtureRequest, feeds: dict[str, Any], run: Run, graph: str
) -> None:
    model = request.getfixturevalue(graph)
    np.testing.assert_allclose(run(raised(model), feeds), run(model, feeds), atol=1e-5)


def reduction(kind: str, axes: list[int] | None = None) -> onnx.ModelProto:
    """A graph of one reduction: over all axes to a number, or keeping those it names as 1."""
    attributes = {"keepdims": 0} if axes is None else {"keepdims": 1, "axes": axes}
    shape = [] if axes is None else [None] * 3
    graph = helper.make_graph(
        [helper.make_node(kind, ["x"], ["y"], **attributes)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["a", "b", "c"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("axes", [None, [-1], [0, 2]])
@pytest.mark.parametrize("kind", ["ReduceMax", "ReduceMean", "ReduceMin"])
def test_reduction_keeps_its_axes(run: Run, kind: str, axes: list[int] | None) -> None:
    model = reduction(kind, axes)
    x = {"x": np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)}
    newer = raised(model)
    onnx.checker.check_model(newer, full_check=True)
    np.testing.assert_allclose(run(newer, x), run(model, x), rtol=1e-6)


def test_newer_opset_than_asked_for_stays() -> None:
    model = reduction("ReduceMax")
    assert default_opset(raised(raised(model, 21), 18)) == 21


def test_opset_of_another_domain_stays(standard: onnx.ModelProto) -> None:
    model = raised(standard)
    graph_edit.uses_contrib_operators(model)
    graph_edit.uses_contrib_operators(model)
    newer = raised(model, 22)
    assert [(one.domain, one.version) for one in newer.opset_import] == [
        ("", 22),
        ("com.microsoft", 1),
    ]


@pytest.mark.parametrize(
    "values",
    [
        np.float32(0.5),
        np.array(3, np.uint8),
        np.array([1, 2]),
        np.arange(6, dtype=np.float32).reshape(2, 3).T,
    ],
    ids=["number", "array of no dimension", "vector", "not contiguous"],
)
def test_weight_is_the_one_that_was_added(values: NDArray[Any]) -> None:
    graph = onnx.GraphProto()
    assert graph_edit.add_weight(graph, "w", values) == "w"
    assert list(graph.initializer[0].dims) == list(np.shape(values))
    found = graph_edit.weight(graph, "w")
    assert found is not None
    assert found.dtype == values.dtype
    assert np.array_equal(found, values)
    assert graph_edit.weight(graph, "other") is None


def test_nodes_take_the_place_of_one_and_unused_weights_go() -> None:
    names = "abcd"
    nodes = [helper.make_node("Identity", [left], [right]) for left, right in pairwise(names)]
    tensors = [numpy_helper.from_array(np.zeros(1), name) for name in ("a", "unused")]
    graph = helper.make_graph(nodes, "g", [], [], initializer=tensors)
    new = [helper.make_node("Neg", ["b"], ["n"]), helper.make_node("Neg", ["n"], ["c"])]
    graph_edit.replace_node(graph, graph.node[1], new)
    assert [list(node.output) for node in graph.node] == [["b"], ["n"], ["c"], ["d"]]
    graph_edit.drop_unused_weights(graph)
    assert [tensor.name for tensor in graph.initializer] == ["a"]
