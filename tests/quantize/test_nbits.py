"""Weights in blocks: how codes are packed, what they stand for, and what onnxruntime makes of them.

onnxruntime's products quantize the rows to 8 bits, a scale for each block of a row. So there are
two bounds: rows that are their own codes are multiplied exactly, and any other row is off by half a
step of its block at most, times what the weights of the block sum up to.
"""

from __future__ import annotations

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

from distilroberta.quantize import graph_edit, nbits
from distilroberta.quantize.nbits import Blocks

Open = Callable[[onnx.ModelProto], Any]
Codes = NDArray[np.uint8]
Values = NDArray[np.float32]

# Rows, blocks and the columns of a block; an odd number of blocks among them, which leaves half a
# byte of a row's zero points unused.
SHAPES = [(5, 1, 16), (24, 3, 16), (33, 2, 32), (96, 5, 32), (40, 2, 64), (17, 4, 128), (1, 4, 32)]
# Of integers of up to 15 * 127 times their scales, added in FP32.
FP32_SUM = 1e-6

four_bit_codes = arrays.arrays(
    np.uint8,
    arrays.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=9),
    elements=strategies.integers(0, 15),
)


def unpacked(packed: Codes) -> Codes:
    """The halves of each byte, the low one first, by division."""
    low, high = packed % 16, packed // 16
    return np.stack([low, high], axis=-1).reshape(*packed.shape[:-1], -1)


def random_blocks(rows: int, blocks: int, block: int, bits: int) -> Blocks:
    random = np.random.default_rng([rows, blocks, block, bits])
    codes = random.integers(0, 2**bits, size=(rows, blocks, block), dtype=np.uint8)
    scales = random.uniform(0.5, 1.5, size=(rows, blocks)).astype(np.float32)
    zeros = random.integers(0, 16, size=(rows, blocks), dtype=np.uint8) if bits == 4 else None
    return Blocks(codes, scales, zeros, bits)


def dequantized(blocks: Blocks) -> NDArray[np.float64]:
    """The matrix (rows, columns), one number at a time."""
    rows, count, block = blocks.codes.shape
    matrix = np.empty((rows, count * block))
    for row in range(rows):
        for column in range(count * block):
            place = row, column // block
            middle = {4: 8, 8: 128}[blocks.bits]
            zero = middle if blocks.zero_points is None else int(blocks.zero_points[place])
            code = int(blocks.codes[row, column // block, column % block])
            matrix[row, column] = (code - zero) * float(blocks.scales[place])
    return matrix


def graph_of(
    blocks: Blocks, make_node: Callable[..., onnx.NodeProto], codes: Codes, input_type: int
) -> onnx.ModelProto:
    """A graph `x -> y` of one node that reads the codes."""
    shape: list[str | int] = ["rows"]
    if input_type == TensorProto.FLOAT:
        shape.append(blocks.columns)
    graph = helper.make_graph(
        [],
        "g",
        [helper.make_tensor_value_info("x", input_type, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", "columns"])],
    )
    stored = graph_edit.add_weight(graph, "w_codes", codes)
    parameters = nbits.add_parameters(graph, "w", blocks)
    first = ["x", stored] if input_type == TensorProto.FLOAT else [stored, "x"]
    graph.node.append(make_node([*first, *parameters], "y", blocks, "node"))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    graph_edit.uses_contrib_operators(model)
    onnx.checker.check_model(model)
    return model


def product_of(blocks: Blocks) -> onnx.ModelProto:
    codes = nbits.pack(blocks.codes, blocks.bits)
    return graph_of(blocks, nbits.product, codes, TensorProto.FLOAT)


def lookup_of(blocks: Blocks) -> onnx.ModelProto:
    codes = nbits.pack(blocks.codes, blocks.bits)
    return graph_of(blocks, nbits.lookup, codes.reshape(len(codes), -1), TensorProto.INT64)


def real_rows(columns: int, count: int = 9) -> Values:
    """Rows of normal values, each of another size."""
    random = np.random.default_rng(columns)
    rows = random.normal(size=(count, columns)) * random.uniform(0.1, 10, size=(count, 1))
    return rows.astype(np.float32)


@hypothesis.settings(max_examples=200, deadline=None, derandomize=True)
@hypothesis.given(codes=four_bit_codes)
def test_packed_codes_are_the_halves_of_bytes_the_low_one_first(codes: Codes) -> None:
    packed = nbits.pack(codes, 4)
    count = codes.shape[-1]
    assert packed.dtype == np.uint8
    assert packed.shape == (*codes.shape[:-1], (count + 1) // 2)
    assert np.array_equal(unpacked(packed)[..., :count], codes)
    assert not unpacked(packed)[..., count:].any()


def test_first_code_is_in_the_low_half() -> None:
    codes = np.array([[1, 2, 3], [15, 0, 8]], dtype=np.uint8)
    assert nbits.pack(codes, 4).tolist() == [[0x21, 0x03], [0x0F, 0x08]]


def test_codes_of_8_bits_stay() -> None:
    codes = np.arange(256, dtype=np.uint8).reshape(2, 128)
    assert np.array_equal(nbits.pack(codes, 8), codes)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("shape", SHAPES[:4])
def test_values_are_those_the_codes_stand_for(shape: tuple[int, int, int], bits: int) -> None:
    blocks = random_blocks(*shape, bits)
    values = blocks.values()
    assert values.dtype == np.float32
    assert (blocks.block, blocks.columns) == (shape[2], shape[1] * shape[2])
    np.testing.assert_allclose(values, dequantized(blocks), rtol=1e-7, atol=0)


def test_zero_point_is_the_middle_unless_it_is_given() -> None:
    codes = np.array([[[0, 8, 15]]], dtype=np.uint8)
    two = np.array([[2]], dtype=np.float32)
    assert Blocks(codes, two, None, 4).values().tolist() == [[-16, 0, 14]]
    assert Blocks(codes, two, np.array([[0]], np.uint8), 4).values().tolist() == [[0, 16, 30]]
    assert Blocks(codes, two, None, 8).values().tolist() == [[-256, -240, -226]]


def test_parameters_are_scales_and_packed_zero_points() -> None:
    graph = onnx.GraphProto()
    blocks = random_blocks(3, 5, 16, 4)
    assert blocks.zero_points is not None
    assert nbits.add_parameters(graph, "w", blocks) == ["w_scales", "w_zero_points"]
    scales, zeros = (numpy_helper.to_array(tensor) for tensor in graph.initializer)
    assert np.array_equal(scales, blocks.scales)
    assert np.array_equal(unpacked(zeros)[:, :5], blocks.zero_points)
    assert nbits.add_parameters(graph, "v", random_blocks(3, 5, 16, 8)) == ["v_scales"]


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("shape", SHAPES)
def test_product_of_integers_is_exact(
    open_graph: Open, shape: tuple[int, int, int], bits: int
) -> None:
    """127 in every block makes the scale of a block of the rows 1."""
    blocks = random_blocks(*shape, bits)
    x = np.random.default_rng(0).integers(-127, 128, size=(7, blocks.columns))
    x[:, :: blocks.block] = 127
    found = open_graph(product_of(blocks)).run(None, {"x": x.astype(np.float32)})[0]
    weight = dequantized(blocks)
    limit = FP32_SUM * (np.abs(x) @ np.abs(weight).T)
    assert (np.abs(found - x @ weight.T) <= limit).all()


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("shape", SHAPES)
def test_product_is_off_by_half_a_step_of_each_value_at_most(
    open_graph: Open, shape: tuple[int, int, int], bits: int
) -> None:
    blocks = random_blocks(*shape, bits)
    x = real_rows(blocks.columns)
    found = open_graph(product_of(blocks)).run(None, {"x": x})[0]
    weight = dequantized(blocks)
    largest = np.abs(x.reshape(len(x), -1, blocks.block)).max(axis=2)
    steps = np.repeat(largest / 127, blocks.block, axis=1)
    limit = (steps / 2 + FP32_SUM * np.abs(x)) @ np.abs(weight).T
    assert (np.abs(found - x @ weight.T) <= limit).all()


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape[2] <= 32])
def test_row_does_not_depend_on_its_batch(
    open_graph: Open, shape: tuple[int, int, int], bits: int
) -> None:
    """Bit by bit in the blocks of the encoder, because what follows is quantized again."""
    blocks = random_blocks(*shape, bits)
    session = open_graph(product_of(blocks))
    x = real_rows(blocks.columns, 13)
    together = session.run(None, {"x": x})[0]
    for count in (1, 2, 3, 8):
        for start in range(13 - count):
            some = session.run(None, {"x": x[start : start + count]})[0]
            assert np.array_equal(some, together[start : start + count])


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape[2] > 32])
def test_row_of_larger_blocks_is_the_same_but_for_the_order_of_the_sum(
    open_graph: Open, shape: tuple[int, int, int]
) -> None:
    blocks = random_blocks(*shape, 4)
    session = open_graph(product_of(blocks))
    x = real_rows(blocks.columns)
    together = session.run(None, {"x": x})[0]
    limit = FP32_SUM * (np.abs(x) @ np.abs(dequantized(blocks)).T)
    for index in range(len(x)):
        alone = session.run(None, {"x": x[index : index + 1]})[0]
        assert (np.abs(alone[0] - together[index]) <= limit[index]).all()


# An even number of blocks: see `int4`.
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape[1] % 2 == 0])
def test_lookup_gives_the_rows_that_the_codes_stand_for(
    open_graph: Open, shape: tuple[int, int, int], bits: int
) -> None:
    blocks = random_blocks(*shape, bits)
    places = np.random.default_rng(0).integers(0, shape[0], size=11)
    places[:2] = 0, shape[0] - 1
    found = open_graph(lookup_of(blocks)).run(None, {"x": places})[0]
    assert np.array_equal(found, blocks.values()[places])
    np.testing.assert_allclose(found, dequantized(blocks)[places], rtol=1e-7, atol=0)
