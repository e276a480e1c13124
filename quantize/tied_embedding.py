"""The word embedding in 8 bits, stored once for the input and for the vocabulary projection.

The usual INT8 export keeps the embedding as INT8 and rebuilds all of it in FP32 on every call
(154 MB for 50,265 tokens), because the projection multiplies by its transpose. Two operators that
onnxruntime contributes read the 8 bits themselves:

* `GatherBlockQuantized` dequantizes the rows of the tokens that occur;
* `MatMulNBits` multiplies by the transpose, block by block, its input in 8 bits too
  (`accuracy_level` 4).

Both take blocks along a row with one FP32 scale each, and 128 for zero unless told otherwise
(https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md). They want the same
bytes in two shapes: (tokens, hidden) and (tokens, blocks, block).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from distilroberta.quantize import graph_edit
from distilroberta.quantize.errors import QuantizationError

_BITS = 8
_ZERO = 128
_LARGEST = 127
_BLOCK_SIZES = (128, 64, 32, 16)
# Of `MatMulNBits`: its input is quantized to 8 bits per block, products are integers.
_INT8_PRODUCTS = 4


def block_size_for(hidden: int) -> int:
    """Return the largest block the operators know that divides a row.

    Raises:
        QuantizationError: none does.
    """
    for size in _BLOCK_SIZES:
        if hidden % size == 0:
            return size
    raise QuantizationError(
        f"the embedding is {hidden} wide, which no block size of {_BLOCK_SIZES} divides: INT8 "
        "needs a multiple of 16; leave out the int8 variant"
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
    scales[scales == 0] = 1  # a block of zeros is exact with any scale
    # Clipped because a subnormal scale is itself rounded.
    codes = np.clip(np.rint(blocks / scales[:, :, None]), -_LARGEST, _LARGEST) + _ZERO
    return codes.astype(np.uint8), scales.astype(np.float32)


def quantize_embedding(model: onnx.ModelProto, views: Literal["one", "two"]) -> None:
    """Quantize the word embedding of a graph, and the projection tied to it if there is one.

    Args:
        model: an FP32 graph of `distilroberta.export`, changed in place.
        views: how the second shape is made. `one` stores the bytes once and reshapes them, for a
            graph that has to be a single file; `two` writes an initializer for each shape, for a
            graph whose weights lie in another file, where both read one range. onnxruntime copies
            a reshaped initializer, so `two` takes 39 MB less memory.

    Raises:
        QuantizationError: the graph has no word embedding, or its width is no multiple of 16.
    """
    graph = model.graph
    gather = _node(graph, "Gather", "input_ids")
    if gather is None:
        raise QuantizationError("the graph has no Gather of word embeddings by input_ids")
    name = gather.input[0]
    values = graph_edit.weight(graph, name)
    if values is None:
        raise QuantizationError(f"{name}, which input_ids index, is not a weight of the graph")
    table = np.asarray(values, dtype=np.float32)
    block = block_size_for(table.shape[1])
    codes, scales = quantize_blocks(table, block)
    flat = graph_edit.add_weight(graph, f"{name}_quantized", codes.reshape(table.shape))
    scale = graph_edit.add_weight(graph, f"{name}_scale", scales)
    lookup = helper.make_node(
        "GatherBlockQuantized",
        [flat, "input_ids", scale],
        list(gather.output),
        name=gather.name or "word_embeddings",
        domain=graph_edit.CONTRIB,
        bits=_BITS,
        block_size=block,
        gather_axis=0,
        quantize_axis=1,
    )
    graph_edit.replace_node(graph, gather, [lookup])

    projection = _node(graph, "Gemm", name)
    if projection is not None:
        nodes = []
        blocks = f"{name}_blocks"
        if views == "two":
            graph_edit.add_weight(graph, blocks, codes)
        else:
            shape = graph_edit.add_weight(graph, f"{name}_shape", np.array(codes.shape, np.int64))
            nodes.append(helper.make_node("Reshape", [flat, shape], [blocks], name=blocks))
        product = f"{projection.output[0]}_product"
        nodes.append(
            helper.make_node(
                "MatMulNBits",
                [projection.input[0], blocks, scale],
                [product],
                name=projection.name or "vocabulary",
                domain=graph_edit.CONTRIB,
                K=table.shape[1],
                N=table.shape[0],
                bits=_BITS,
                block_size=block,
                accuracy_level=_INT8_PRODUCTS,
            )
        )
        bias = [product, projection.input[2]]
        nodes.append(helper.make_node("Add", bias, list(projection.output), name=f"{product}_bias"))
        graph_edit.replace_node(graph, projection, nodes)

    graph_edit.drop_unused_weights(graph)
    graph_edit.uses_contrib_operators(model)


def _node(graph: onnx.GraphProto, kind: str, reads: str) -> onnx.NodeProto | None:
    for node in graph.node:
        if node.op_type == kind and reads in node.input:
            return node
    return None
