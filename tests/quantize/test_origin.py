"""The same computation has the same origin in both graphs, and nothing else has."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from distilroberta.quantize.origin import MOVES, origins


def computed(graph: onnx.GraphProto) -> dict[str, str]:
    """Return the origins of what nodes compute with a weight of the model, by the node's name."""
    found, weights = origins(graph), {tensor.name for tensor in graph.initializer}
    return {
        node.name: found[node.output[0]]
        for node in graph.node
        if node.op_type not in MOVES and weights & set(node.input)
    }


def test_both_graphs_of_a_model_compute_the_same(
    standard: onnx.ModelProto, served: onnx.ModelProto
) -> None:
    ours, theirs = computed(served.graph), computed(standard.graph)
    assert len(ours) == len(theirs) > 20
    assert set(ours.values()) == set(theirs.values())
    assert len(set(ours.values())) == len(ours), "no two products are taken for one"


def test_weights_and_inputs_are_their_own_origin(standard: onnx.ModelProto) -> None:
    found = origins(standard.graph)
    names = [tensor.name for tensor in standard.graph.initializer]
    assert {found[name] for name in names} == set(names)
    assert found["input_ids"] == "input_ids"


def graph_of(*nodes: onnx.NodeProto) -> onnx.GraphProto:
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 3]) for name in "ab"]
    weights = [numpy_helper.from_array(np.ones(3, np.float32), "w")]
    return helper.make_graph(nodes, "graph", inputs, [], weights)


def constant(name: str, value: float) -> onnx.NodeProto:
    return helper.make_node(
        "Constant", [], [name], value=numpy_helper.from_array(np.array(value, np.float32))
    )


@pytest.mark.parametrize("kind", sorted(MOVES))
def test_moved_values_keep_their_origin(kind: str) -> None:
    found = origins(
        graph_of(
            helper.make_node("Mul", ["a", "w"], ["x"]),
            helper.make_node(kind, ["x", "b"], ["y", "z"]),
            helper.make_node("Exp", ["x"], ["of_x"]),
            helper.make_node("Exp", ["z"], ["of_z"]),
        )
    )
    assert found["x"] == found["y"] == found["z"]
    assert found["of_x"] == found["of_z"] != found["x"]


def test_other_computations_have_other_origins() -> None:
    nodes = [
        helper.make_node("Add", ["a", "w"], ["a + w"]),
        helper.make_node("Add", ["w", "a"], ["w + a"]),
        helper.make_node("Mul", ["a", "w"], ["a * w"]),
        helper.make_node("Add", ["b", "w"], ["b + w"]),
        helper.make_node("LayerNormalization", ["a", "w", ""], ["norm", "mean"]),
        constant("one", 1.0),
        constant("two", 2.0),
    ]
    found = origins(graph_of(*nodes))
    assert len(set(found.values())) == len(found)


def test_constants_are_known_by_their_content() -> None:
    found = origins(graph_of(constant("x", 1.5), constant("y", 1.5), constant("z", 1.0)))
    assert found["x"] == found["y"] != found["z"]
