"""Which product makes the values that attention averages.

The weights of an average add up to 1, so what is done to every value alike, moving and scaling its
channels, is done to the average. Smoothing of what attention gives (see `smoothing`) can therefore
be part of the weight that makes the values, and costs nothing when the graph runs.
"""

from __future__ import annotations

import onnx

from distilroberta.quantize.origin import MOVES
from distilroberta.quantize.products import Product

# What stands between a product and the attention that averages what it makes.
_SPLITS_HEADS = frozenset({"Reshape", "Transpose"})


def maker_of_values(graph: onnx.GraphProto, average: str, found: list[Product]) -> Product | None:
    """Return the product that makes what attention averages.

    Args:
        graph: an FP32 graph of `distilroberta.export`.
        average: the name of what is read.
        found: the graph's products.

    Returns:
        None where `average` is not what attention gives.
    """
    makers = {output: node for node in graph.node for output in node.output}
    by_bias = {str(one.bias.output[0]): one for one in found if one.bias is not None}
    attention = _source(makers, average, MOVES)
    if attention is None or attention.op_type != "MatMul":
        return None
    weights = _source(makers, attention.input[0], MOVES)
    values = _source(makers, attention.input[1], _SPLITS_HEADS)
    if weights is None or weights.op_type != "Softmax" or values is None:
        return None
    return by_bias.get(str(values.output[0]))


def _source(
    makers: dict[str, onnx.NodeProto], name: str, moves: frozenset[str]
) -> onnx.NodeProto | None:
    while name in makers and makers[name].op_type in moves:
        name = makers[name].input[0]
    return makers.get(name)
