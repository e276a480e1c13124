"""Weights in blocks of 4 or 8 bits, and the two operators of onnxruntime that read them.

`MatMulNBits` multiplies by the transpose of a matrix, `GatherBlockQuantized` looks up its rows.
Both take blocks along a row; a value is (code - zero point) * scale, both of its block. Codes of 4
bits stand two in a byte, the first in the low half, and so do the zero points of a row
(https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md).

Scales have to be initializers: computed in the graph, and not folded because optimization is off,
onnxruntime 1.31.1 gives wrong products and no error. FP16 scales and a `Cast` are ruled out by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from distilroberta.quantize import graph_edit
from distilroberta.quantize.products import Product

# Of `MatMulNBits`: its input is quantized to 8 bits per block, products are integers.
INT8_PRODUCTS = 4


@dataclass(frozen=True)
class Blocks:
    """A quantized matrix (rows, columns).

    `codes` are uint8 (rows, blocks, block), one a byte, `scales` float32 (rows, blocks) and
    `zero_points` uint8 (rows, blocks), or None where all are the middle, 2 ** (bits - 1).
    """

    codes: NDArray[np.uint8]
    scales: NDArray[np.float32]
    zero_points: NDArray[np.uint8] | None
    bits: int

    @property
    def block(self) -> int:
        """How many columns share a scale."""
        return int(self.codes.shape[2])

    @property
    def columns(self) -> int:
        """How many columns the matrix has."""
        return int(self.codes.shape[1]) * self.block

    def values(self) -> NDArray[np.float32]:
        """Return the matrix that the codes stand for, float32 (rows, columns)."""
        middle = np.float32(2 ** (self.bits - 1))
        zero = middle if self.zero_points is None else self.zero_points[:, :, None]
        values = (self.codes.astype(np.float32) - zero) * self.scales[:, :, None]
        return values.reshape(len(values), self.columns)


def pack(codes: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """Put codes of 4 bits two into a byte; those of 8 bits stay.

    Args:
        codes: uint8 (..., n). Where n is odd, a 0 fills the last byte.
        bits: 4 or 8.

    Returns:
        uint8 (..., bytes).
    """
    if bits == 8:
        return codes
    if codes.shape[-1] % 2:
        codes = np.concatenate([codes, np.zeros_like(codes[..., :1])], axis=-1)
    low, high = codes[..., 0::2], codes[..., 1::2]
    return np.bitwise_or(low, high << 4, dtype=np.uint8)


def add_parameters(graph: onnx.GraphProto, name: str, blocks: Blocks) -> list[str]:
    """Add the scales of a matrix, and its zero points if it has any; return their names."""
    names = [graph_edit.add_weight(graph, f"{name}_scales", blocks.scales)]
    if blocks.zero_points is not None:
        packed = pack(blocks.zero_points, blocks.bits)
        names.append(graph_edit.add_weight(graph, f"{name}_zero_points", packed))
    return names


def product(inputs: Sequence[str], output: str, blocks: Blocks, name: str) -> onnx.NodeProto:
    """Return the node that multiplies rows by the transpose of a matrix.

    Args:
        inputs: the names of the rows, of the packed codes (rows, blocks, bytes), and what
            `add_parameters` returned.
        output: the name of the product.
        blocks: the matrix.
        name: the node's name.
    """
    return helper.make_node(
        "MatMulNBits",
        inputs,
        [output],
        name=name,
        domain=graph_edit.CONTRIB,
        K=blocks.columns,
        N=len(blocks.codes),
        bits=blocks.bits,
        block_size=blocks.block,
        accuracy_level=INT8_PRODUCTS,
    )


def replace_product(graph: onnx.GraphProto, product_: Product, blocks: Blocks) -> None:
    """Put a product with its weight in blocks in place of one in FP32.

    Args:
        graph: changed in place.
        product_: one of the graph's.
        blocks: what stands for its weight, transposed: (out, in).
    """
    name = product_.weight
    codes = graph_edit.add_weight(graph, f"{name}_blocks", pack(blocks.codes, blocks.bits))
    inputs = [product_.values, codes, *add_parameters(graph, name, blocks)]
    node = product(inputs, product_.output, blocks, product_.node.name)
    graph_edit.replace_node(graph, product_.node, [node])


def lookup(inputs: Sequence[str], output: str, blocks: Blocks, name: str) -> onnx.NodeProto:
    """Return the node that looks up rows of a matrix.

    Args:
        inputs: the names of the packed codes (rows, bytes), of the row numbers, and what
            `add_parameters` returned.
        output: the name of the rows.
        blocks: the matrix.
        name: the node's name.
    """
    return helper.make_node(
        "GatherBlockQuantized",
        inputs,
        [output],
        name=name,
        domain=graph_edit.CONTRIB,
        bits=blocks.bits,
        block_size=blocks.block,
        gather_axis=0,
        quantize_axis=1,
    )
