"""Which products of a graph are found, with their weight, their input and their bias."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from distilroberta.quantize import products
from distilroberta.quantize.products import FEWEST_COLUMNS, Product

WIDE = FEWEST_COLUMNS


def graph_of(nodes: list[onnx.NodeProto], **weights: NDArray[Any]) -> onnx.GraphProto:
    """A graph of some nodes and weights, which is only looked at."""
    ends = [helper.make_tensor_value_info(end, TensorProto.FLOAT, None) for end in "xy"]
    tensors = [numpy_helper.from_array(values, name) for name, values in weights.items()]
    return helper.make_graph(nodes, "g", ends[:1], ends[1:], initializer=tensors)


def matmul(left: str, right: str, output: str) -> onnx.NodeProto:
    return helper.make_node("MatMul", [left, right], [output])


def add(left: str, right: str, output: str) -> onnx.NodeProto:
    return helper.make_node("Add", [left, right], [output])


def weight(rows: int = 4, columns: int = WIDE) -> NDArray[np.float32]:
    return np.ones((rows, columns), np.float32)


def only(graph: onnx.GraphProto) -> Product:
    (found,) = products.find(graph)
    return found


@pytest.mark.parametrize("sides", [("p", "b"), ("b", "p")], ids=["product first", "constant first"])
def test_product_and_the_bias_after_it(sides: tuple[str, str]) -> None:
    nodes = [matmul("x", "w", "p"), add(*sides, "y")]
    graph = graph_of(nodes, w=weight(), b=np.zeros(WIDE, np.float32))
    found = only(graph)
    assert (found.values, found.weight, found.output) == ("x", "w", "p")
    assert found.node is graph.node[0]
    assert found.bias is graph.node[1]
    assert found.bias_name() == "b"


def test_residual_is_no_bias() -> None:
    found = only(graph_of([matmul("x", "w", "p"), add("p", "x", "y")], w=weight()))
    assert found.bias is None
    with pytest.raises(ValueError, match="w has no bias"):
        found.bias_name()


def test_bias_of_a_product_that_others_read_too_is_left() -> None:
    nodes = [matmul("x", "w", "p"), add("p", "b", "q"), add("p", "q", "y")]
    found = only(graph_of(nodes, w=weight(), b=np.zeros(WIDE, np.float32)))
    assert found.bias is None


def test_product_without_a_reader_has_no_bias() -> None:
    assert only(graph_of([matmul("x", "w", "y")], w=weight())).bias is None


@pytest.mark.parametrize(
    ("nodes", "weights"),
    [
        pytest.param([matmul("x", "x", "y")], {}, id="two activations"),
        pytest.param([matmul("w", "x", "y")], {"w": weight()}, id="weight on the left"),
        pytest.param([matmul("x", "w", "y")], {"w": weight(columns=WIDE - 1)}, id="few columns"),
        pytest.param([matmul("x", "w", "y")], {"w": weight()[None]}, id="three dimensions"),
        pytest.param([matmul("x", "w", "y")], {"w": weight()[0]}, id="one dimension"),
        pytest.param(
            [helper.make_node("Gemm", ["x", "w"], ["y"])], {"w": weight()}, id="another operator"
        ),
    ],
)
def test_others_are_left_out(
    nodes: list[onnx.NodeProto], weights: dict[str, NDArray[np.float32]]
) -> None:
    assert products.find(graph_of(nodes, **weights)) == []


LAYER = [
    *(f"attention.{name}" for name in ("query", "key", "value")),
    *(f"block.{name}" for name in ("attention_output", "intermediate", "output")),
]


def test_products_of_a_fill_mask_model_in_graph_order(wide_fill_mask: Any) -> None:
    wanted = [f"encoder.layer.0.{name}.weight" for name in LAYER]
    last = [f"encoder.last.{name}.weight" for name in LAYER]
    graphs = wide_fill_mask.graphs
    for model in (graphs.standard, graphs.served):
        found = products.find(model.graph)
        names = [one.weight for one in found]
        assert names[: len(LAYER)] == wanted
        assert sorted(names[len(LAYER) :]) == sorted([*last, "lm_head.dense.weight"])
        assert names[-1] == "lm_head.dense.weight"
        biases = [one.bias_name() for one in found]
        assert biases == [name.replace("weight", "bias") for name in names]
        places = [list(model.graph.node).index(one.node) for one in found]
        assert places == sorted(places)


def test_standard_graph_reads_a_value_twice_and_the_served_one_does_not(
    wide_fill_mask: Any,
) -> None:
    """Q of the last layer reads what K and V read, unless it is for the masks alone."""
    graphs = wide_fill_mask.graphs
    for model, shared in ((graphs.standard, True), (graphs.served, False)):
        found = {one.weight: one.values for one in products.find(model.graph)}
        query, key, value = (
            found[f"encoder.last.attention.{name}.weight"] for name in ("query", "key", "value")
        )
        assert key == value
        assert (query == key) is shared


def test_last_product_of_a_classifier_is_left_out(wide_classifier: Any) -> None:
    found = [one.weight for one in products.find(wide_classifier.graphs.standard.graph)]
    assert found[-1] == "dense.weight"
    assert "out_proj.weight" not in found


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_matrix_is_in_single_precision(dtype: type[np.generic]) -> None:
    values = np.arange(12).reshape(3, 4).astype(dtype)
    found = products.matrix(graph_of([], w=values), "w")
    assert found.dtype == np.float32
    assert np.array_equal(found, values)
