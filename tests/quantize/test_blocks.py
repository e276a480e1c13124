"""A product with its weight in blocks: the integers it multiplies, and what stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from distilroberta.quantize import blocks, graph_edit, products
from distilroberta.quantize.errors import QuantizationError

Open = Callable[[onnx.ModelProto], Any]
Values = NDArray[np.float32]

COLUMNS = products.FEWEST_COLUMNS


def product_of(weight: Values) -> onnx.ModelProto:
    """A graph `x @ w + b = y` with its product in blocks."""
    bias = np.linspace(-1, 1, COLUMNS, dtype=np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["p"], name="dense"),
        helper.make_node("Add", ["p", "b"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", len(weight)])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", COLUMNS])],
        initializer=[numpy_helper.from_array(weight, "w"), numpy_helper.from_array(bias, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (found,) = products.find(model.graph)
    blocks.replace_product(model.graph, found)
    graph_edit.drop_unused_weights(model.graph)
    graph_edit.uses_contrib_operators(model)
    return model


def weight_of(rows: int) -> Values:
    return np.random.default_rng(rows).normal(size=(rows, COLUMNS)).astype(np.float32)


def held(model: onnx.ModelProto) -> dict[str, NDArray[Any]]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


@pytest.mark.parametrize(
    ("rows", "block"), [(768, 64), (384, 64), (128, 64), (64, 64), (96, 32), (48, 16)]
)
def test_product_is_that_of_the_stored_integers(open_graph: Open, rows: int, block: int) -> None:
    model = product_of(weight_of(rows))
    onnx.checker.check_model(model)
    stored = held(model)
    codes = stored["w_blocks"].astype(np.int64) - 128
    assert codes.shape == (COLUMNS, rows // block, block)
    # Integers, 127 among them in every block: the operator's own codes for them, with scale 1.
    x = np.random.default_rng(0).integers(-127, 128, size=(5, rows))
    x[:, ::16] = 127
    sums = np.einsum("rbk,cbk->rcb", x.reshape(5, -1, block), codes)
    wanted = (sums * stored["w_scales"].astype(np.float64)).sum(axis=2) + stored["b"]
    found = open_graph(model).run(None, {"x": x.astype(np.float32)})[0]
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6 * np.abs(wanted).max())


@pytest.mark.parametrize("rows", [768, 384, 96])
def test_row_does_not_depend_on_the_number_of_rows(open_graph: Open, rows: int) -> None:
    """Bit by bit, because what follows is quantized again."""
    session = open_graph(product_of(weight_of(rows)))
    x = np.random.default_rng(1).normal(size=(37, rows)).astype(np.float32)
    together = session.run(None, {"x": x})[0]
    for count in (1, 2, 3, 8):
        for start in range(0, 37 - count, 5):
            some = session.run(None, {"x": x[start : start + count]})[0]
            assert np.array_equal(some, together[start : start + count])


def test_product_is_nearly_that_of_the_weight(open_graph: Open) -> None:
    weight = weight_of(256)
    x = np.random.default_rng(1).normal(size=(9, 256)).astype(np.float32)
    found = open_graph(product_of(weight)).run(None, {"x": x})[0]
    wanted = x @ weight + np.linspace(-1, 1, COLUMNS, dtype=np.float32)
    assert np.abs(found - wanted).max() < 0.01 * np.abs(wanted).max()
    assert not np.allclose(found, wanted, atol=1e-4)


def test_bias_and_names_stay() -> None:
    model = product_of(weight_of(64))
    assert [node.op_type for node in model.graph.node] == ["MatMulNBits", "Add"]
    assert model.graph.node[0].name == "dense"
    assert list(held(model)) == ["b", "w_blocks", "w_scales"]


def test_weight_whose_rows_no_block_divides_is_refused() -> None:
    with pytest.raises(QuantizationError, match=r"^w has rows of .* need a multiple of 16"):
        product_of(weight_of(40))
