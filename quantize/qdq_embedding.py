"""The word embedding in 8 bits, with operators of the standard alone.

It is stored once, as S8 with a scale for each token. The lookup and the vocabulary projection tied
to it read the same codes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from distilroberta.quantize import graph_edit, products, qdq
from distilroberta.quantize.bias_correction import corrected_bias
from distilroberta.quantize.errors import QuantizationError
from distilroberta.quantize.qdq import Values
from distilroberta.quantize.saturation import quantize_bounded_columns
from distilroberta.quantize.smoothing import Smoothing, Vector

# How many tokens are in work at a time: 160 MB of all at once would be held several times.
_ROWS = 4096


def find(graph: onnx.GraphProto) -> tuple[onnx.NodeProto, onnx.NodeProto | None]:
    """Return the `Gather` of word embeddings, and the `Gemm` tied to it, None if there is none.

    Raises:
        QuantizationError: the graph has no word embedding.
    """
    weights = {tensor.name for tensor in graph.initializer}
    for lookup in graph.node:
        if lookup.op_type != "Gather" or "input_ids" not in lookup.input:
            continue
        table = lookup.input[0]
        if table in weights:
            tied = (n for n in graph.node if n.op_type == "Gemm" and table in n.input)
            return lookup, next(tied, None)
    raise QuantizationError("the graph has no Gather of word embeddings by input_ids")


def quantize(graph: onnx.GraphProto, values: Values | None) -> None:
    """Store the embedding as codes, and have the lookup and the projection read them.

    The codes are looked up before they are dequantized; the other way round, which is more usual,
    onnxruntime dequantizes the whole table on every call.

    Args:
        graph: a graph, changed in place.
        values: what the projection reads; None if there is none. Its channels may be shifted, but
            have one divisor: the embedding's columns can't be multiplied for the projection.

    Raises:
        QuantizationError: the graph has no word embedding.
    """
    lookup, projection = find(graph)
    name = str(lookup.input[0])
    table = products.matrix(graph, name)
    codes, scales = _quantized(table)
    graph_edit.add_weight(graph, f"{name}_quantized", codes)
    graph_edit.add_weight(graph, f"{name}_scale", scales)
    _rewrite_lookup(graph, lookup)
    if projection is not None and values is not None:
        bias = np.asarray(graph_edit.weight(graph, projection.input[2]), np.float32)
        corrected = _corrected(bias, values, table, codes, scales)
        graph_edit.add_weight(graph, f"{name}_bias", corrected)
        _rewrite_projection(graph, projection, values.smoothing)


def _quantized(table: NDArray[np.float32]) -> tuple[NDArray[np.int8], Vector]:
    codes = np.empty(table.shape, np.int8)
    scales = np.empty(len(table), np.float32)
    for rows in _slices(table):
        # Bounded along a row, over which the projection sums.
        columns, scales[rows] = quantize_bounded_columns(table[rows].T)
        codes[rows] = columns.T
    return codes, scales


def _corrected(
    bias: Vector,
    values: Values,
    table: NDArray[np.float32],
    codes: NDArray[np.int8],
    scales: Vector,
) -> Vector:
    corrected = np.empty_like(bias)
    mean = values.mean - values.smoothing.shift
    for rows in _slices(table):
        rounded = codes[rows] * scales[rows, None]
        corrected[rows] = corrected_bias(bias[rows], values.mean, table[rows].T, mean, rounded.T)
    return corrected


def _slices(table: NDArray[np.float32]) -> Iterator[slice]:
    return (slice(start, start + _ROWS) for start in range(0, len(table), _ROWS))


def _rewrite_lookup(graph: onnx.GraphProto, lookup: onnx.NodeProto) -> None:
    name, ids = lookup.input
    (output,) = lookup.output
    last_axis = graph_edit.add_weight(graph, f"{name}_last_axis", np.array([-1], np.int64))
    constants = [qdq.unit_scale(graph), qdq.zero_point(graph)]
    codes, reals, scale, column = (
        f"{output}_{part}" for part in ("codes", "reals", "scale", "scale_column")
    )
    nodes = [
        helper.make_node("Gather", [f"{name}_quantized", ids], [codes], name=codes),
        helper.make_node("DequantizeLinear", [codes, *constants], [reals], name=reals),
        helper.make_node("Gather", [f"{name}_scale", ids], [scale], name=scale),
        helper.make_node("Unsqueeze", [scale, last_axis], [column], name=column),
        helper.make_node("Mul", [reals, column], [output], name=lookup.name),
    ]
    graph_edit.replace_node(graph, lookup, nodes)


def _rewrite_projection(
    graph: onnx.GraphProto, projection: onnx.NodeProto, smoothing: Smoothing
) -> None:
    values, name, _ = projection.input
    (output,) = projection.output
    scale = graph_edit.add_weight(graph, f"{name}_values_scale", smoothing.divisor[0])
    shift, shifted = qdq.shifted_values(graph, values, name, smoothing.shift)
    sums = f"{output}_product"
    nodes = [
        shift,
        *qdq.rounded_values(graph, shifted, name, scale),
        qdq.dequantized_weight(graph, name, axis=0),
        helper.make_node("Gemm", qdq.operands(name), [sums], name=projection.name, transB=1),
        helper.make_node("Add", [sums, f"{name}_bias"], [output], name=f"{name}_sum"),
    ]
    graph_edit.replace_node(graph, projection, nodes)
