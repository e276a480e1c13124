"""The word embedding in 8 or 4 bits, stored once for the input and the vocabulary projection.

The usual INT8 export keeps the embedding as INT8 and rebuilds all of it in FP32 on every call
(154 MB for 50,265 tokens), because the projection multiplies by its transpose. Two operators that
onnxruntime contributes read the bits themselves, see `nbits`: `GatherBlockQuantized` dequantizes
the rows of the tokens that occur, `MatMulNBits` multiplies by the transpose. They want the same
bytes in two shapes: (tokens, bytes of a row) and (tokens, blocks, bytes of a block).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from distilroberta.quantize import graph_edit, nbits
from distilroberta.quantize.errors import QuantizationError
from distilroberta.quantize.nbits import INT8_PRODUCTS as INT8_PRODUCTS
from distilroberta.quantize.nbits import Blocks

_BITS = 8
_ZERO = 128
_LARGEST = 127
_BLOCK_SIZES = (128, 64, 32, 16)


@dataclass(frozen=True)
class Embedding:
    """The word embedding of a graph.

    `name` is its weight's and `table` its values, float32 (tokens, hidden); `lookup` is the
    `Gather` that reads it, `projection` the `Gemm` tied to it, None where the model has none.
    """

    name: str
    table: NDArray[np.float32]
    lookup: onnx.NodeProto
    projection: onnx.NodeProto | None


def find(graph: onnx.GraphProto) -> Embedding:
    """Return the word embedding of an FP32 graph of `distilroberta.export`.

    Raises:
        QuantizationError: the graph has none.
    """
    lookup = _node(graph, "Gather", "input_ids")
    if lookup is None:
        raise QuantizationError("the graph has no Gather of word embeddings by input_ids")
    name = str(lookup.input[0])
    values = graph_edit.weight(graph, name)
    if values is None:
        raise QuantizationError(f"{name}, which input_ids index, is not a weight of the graph")
    table = np.asarray(values, dtype=np.float32)
    return Embedding(name, table, lookup, _node(graph, "Gemm", name))


def block_size_for(columns: int, name: str) -> int:
    """Return the largest block the operators know that divides a row.

    Args:
        columns: the length of a row.
        name: the weight's name, for the message.

    Raises:
        QuantizationError: none does.
    """
    for size in _BLOCK_SIZES:
        if columns % size == 0:
            return size
    raise QuantizationError(
        f"{name} has rows of {columns}, which no block size of {_BLOCK_SIZES} divides: blocks of 8 "
        "bits need a multiple of 16; leave out the variants int8 and int4"
    )


def quantize_blocks(
    table: NDArray[np.float32], block: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Quantize each block of each row symmetrically to 8 bits around 128.

    Args:
        table: float32 (rows, columns); `block` divides the columns.
        block: the number of columns that share a scale.

    Returns:
        uint8 (rows, columns // block, block) and float32 (rows, columns // block), so that a
        value is (code - 128) * scale.
    """
    blocks = table.reshape(table.shape[0], -1, block)
    scales = np.abs(blocks).max(axis=2) / np.float32(_LARGEST)
    # A block of zeros keeps the scale 0. With another one `MatMulNBits` would add up what its
    # zero point makes of the values, and take it off again rounded.
    divisors = np.where(scales > 0, scales, 1)
    # Clipped because a subnormal scale is itself rounded.
    codes = np.clip(np.rint(blocks / divisors[:, :, None]), -_LARGEST, _LARGEST) + _ZERO
    return codes.astype(np.uint8), scales.astype(np.float32)


def quantize_embedding(
    model: onnx.ModelProto, views: Literal["one", "two"], quantized: Blocks | None = None
) -> None:
    """Quantize the word embedding of a graph, and the projection tied to it if there is one.

    Args:
        model: an FP32 graph of `distilroberta.export`, changed in place.
        views: how the second shape is made. `one` stores the bytes once and reshapes them, for a
            graph that has to be a single file; `two` writes an initializer for each shape, for a
            graph whose weights lie in another file, where both read one range. onnxruntime copies
            a reshaped initializer, so `two` takes 39 MB less memory in 8 bits.
        quantized: what stands for the embedding's table, by default its values rounded to 8 bits.

    Raises:
        QuantizationError: the graph has no word embedding, or its width is no multiple of 16.
    """
    graph = model.graph
    found = find(graph)
    if quantized is None:
        block = block_size_for(found.table.shape[1], found.name)
        codes, scales = quantize_blocks(found.table, block)
        quantized = Blocks(codes, scales, None, _BITS)
    packed = nbits.pack(quantized.codes, quantized.bits)
    name = found.name
    flat = graph_edit.add_weight(graph, f"{name}_quantized", packed.reshape(len(packed), -1))
    parameters = nbits.add_parameters(graph, name, quantized)
    lookup = nbits.lookup(
        [flat, "input_ids", *parameters],
        found.lookup.output[0],
        quantized,
        found.lookup.name or "word_embeddings",
    )
    graph_edit.replace_node(graph, found.lookup, [lookup])

    projection = found.projection
    if projection is not None:
        nodes = []
        blocks = f"{name}_blocks"
        if views == "two":
            graph_edit.add_weight(graph, blocks, packed)
        else:
            shape = graph_edit.add_weight(graph, f"{name}_shape", np.array(packed.shape, np.int64))
            nodes.append(helper.make_node("Reshape", [flat, shape], [blocks], name=blocks))
        output = f"{projection.output[0]}_product"
        inputs = [projection.input[0], blocks, *parameters]
        nodes.append(nbits.product(inputs, output, quantized, projection.name or "vocabulary"))
        bias = [output, projection.input[2]]
        nodes.append(helper.make_node("Add", bias, list(projection.output), name=f"{output}_bias"))
        graph_edit.replace_node(graph, projection, nodes)

    graph_edit.drop_unused_weights(graph)
    graph_edit.uses_contrib_operators(model)


def _node(graph: onnx.GraphProto, kind: str, reads: str) -> onnx.NodeProto | None:
    for node in graph.node:
        if node.op_type == kind and reads in node.input:
            return node
    return None
