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


def raised(model: onnx.ModelProto, opset: int = 23) -> onnx.ModelProto:
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
            assert default_opset(newer) == 23
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
    newer = raised(model, 24)
    assert [(one.domain, one.version) for one in newer.opset_import] == [
        ("", 24),
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


def net(*nodes: tuple[str, str], outputs: str) -> onnx.GraphProto:
    """A graph of nodes, each given by what it reads and what it gives."""
    made = [helper.make_node("Any", reads.split(), gives.split()) for reads, gives in nodes]
    return helper.make_graph(made, "g", [], [onnx.ValueInfoProto(name=n) for n in outputs.split()])


@pytest.mark.parametrize(
    ("nodes", "outputs", "kept"),
    [
        ([("x", "a"), ("a", "b"), ("b", "c")], "c", "abc"),
        ([("x", "a"), ("a", "b"), ("b", "c")], "b", "ab"),
        ([("x", "a"), ("a", "b"), ("b", "c")], "a", "a"),
        ([("x", "a"), ("x", "b"), ("b", "c"), ("a", "d"), ("x", "e")], "d", "ad"),
        ([("x", "a"), ("x", "b"), ("a b", "c"), ("b", "d")], "c", "abc"),
        ([("x", "a"), ("a", "b m"), ("m", "c"), ("b", "d")], "c", "abc"),
        ([("x", "a"), ("a", "b m"), ("m", "c"), ("b", "d")], "d", "abd"),
        ([("x", "a"), ("a", "b m"), ("m", "c"), ("b", "d")], "a", "a"),
        ([("x", "a"), ("x", "b"), ("a", "c"), ("b", "d")], "d c", "abcd"),
    ],
    ids=[
        "all are read",
        "the end of a chain",
        "a chain",
        "between those that stay",
        "read twice",
        "the second output is read",
        "the first output is read",
        "no output is read",
        "two outputs of the graph",
    ],
)
def test_nodes_of_which_nothing_is_read_go(
    nodes: list[tuple[str, str]], outputs: str, kept: str
) -> None:
    graph = net(*nodes, outputs=outputs)
    before = {node.output[0]: node.SerializeToString() for node in graph.node}
    graph_edit.drop_unused_nodes(graph)
    assert [node.output[0] for node in graph.node] == list(kept)
    assert all(node.SerializeToString() == before[node.output[0]] for node in graph.node)


@pytest.mark.parametrize("exported", EXPORTED)
def test_exported_graphs_have_no_unused_nodes(
    request: pytest.FixtureRequest, exported: str
) -> None:
    graphs = request.getfixturevalue(exported).graphs
    for model in (graphs.standard, graphs.served):
        if model is not None:
            copied = onnx.GraphProto()
            copied.CopyFrom(model.graph)
            graph_edit.drop_unused_nodes(copied)
            assert copied == model.graph
