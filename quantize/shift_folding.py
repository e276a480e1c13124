"""Having a layer norm give shifted values, where a shift would be a pass over memory.

What a layer norm gives is read by products, which take a constant from each channel (see
`smoothing`), and by the residual connection, which adds a biased product to it. So its bias can
have that constant taken off, and the product's bias have it added: the sum is the same.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import onnx
from numpy.typing import NDArray

from distilroberta.quantize import graph_edit
from distilroberta.quantize.origin import MOVES

Vector = NDArray[np.float32]

# Where the bias stands among a node's inputs.
_OF_LAYER_NORM = 2
_OF_PRODUCT = 6


def fold(graph: onnx.GraphProto) -> None:
    """Fold the `Sub` of a constant from what a layer norm gives into its bias.

    Args:
        graph: a graph as `integer_products` rewrites it, changed in place. A layer norm that
            something else reads keeps its values. Where rows are selected and another constant is
            taken off these, the difference is what is left.
    """
    for node in list(graph.node):
        if node.op_type == "LayerNormalization":
            _fold(graph, node)


def _fold(graph: onnx.GraphProto, norm: onnx.NodeProto) -> None:
    readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in graph.node:
        if node.op_type != "Shape":  # which reads no values
            for name in node.input:
                readers[name].append(node)
    names = _moved(readers, str(norm.output[0]))
    if any(output.name in names for output in graph.output):
        return
    pairs = [(node, name) for name in names for node in readers[name] if not _is_move(node, name)]
    shifts = [node for node, _ in pairs if _is_shift(graph, node)]
    biases = [_bias_beside(graph, readers, *pair) for pair in pairs if pair[0] not in shifts]
    # The one that most rows pass is first: the others read some of them.
    if shifts and shifts[0].input[0] == norm.output[0] and None not in biases:
        shift = _constant(graph, shifts[0].input[1])
        _add(graph, norm, _OF_LAYER_NORM, -shift)
        for node, index in filter(None, biases):
            _add(graph, node, index, shift)
        for node in shifts:
            _take_less(graph, node, shift, readers[node.output[0]])


def _add(graph: onnx.GraphProto, node: onnx.NodeProto, index: int, shift: Vector) -> None:
    # A new constant: others may read the one that is there.
    bias = _constant(graph, node.input[index]) + shift
    node.input[index] = graph_edit.add_weight(graph, f"{node.output[0]}_shifted_bias", bias)


def _take_less(
    graph: onnx.GraphProto, node: onnx.NodeProto, shift: Vector, readers: list[onnx.NodeProto]
) -> None:
    rest = _constant(graph, node.input[1]) - shift
    if rest.any():
        node.input[1] = graph_edit.add_weight(graph, f"{node.output[0]}_rest", rest)
        return
    for reader in readers:
        reader.input[:] = [
            node.input[0] if name == node.output[0] else name for name in reader.input
        ]
    graph.node.remove(node)


def _is_move(node: onnx.NodeProto, name: str) -> bool:
    return node.op_type in MOVES and node.input[0] == name


def _is_shift(graph: onnx.GraphProto, node: onnx.NodeProto) -> bool:
    return node.op_type == "Sub" and graph_edit.weight(graph, node.input[1]) is not None


def _moved(readers: dict[str, list[onnx.NodeProto]], name: str) -> list[str]:
    # A value, and what is selected of it.
    names = [name]
    for one in names:
        names += [str(node.output[0]) for node in readers[one] if _is_move(node, one)]
    return names


def _bias_beside(
    graph: onnx.GraphProto,
    readers: dict[str, list[onnx.NodeProto]],
    node: onnx.NodeProto,
    name: str,
) -> tuple[onnx.NodeProto, int] | None:
    # Of a residual connection: the node that adds a bias to the product, and where it has it.
    if node.op_type != "Add":
        return None
    (other,) = [one for one in node.input if one != name] or [name]
    maker = next((one for one in graph.node if other in one.output), None)
    is_read_elsewhere = len(readers[other]) > 1 or any(one.name == other for one in graph.output)
    if maker is None or is_read_elsewhere:
        return None
    if maker.op_type == "MatMulIntegerToFloat" and len(maker.input) > _OF_PRODUCT:
        index = _OF_PRODUCT
    elif maker.op_type == "Add":
        index = next(
            (i for i, one in enumerate(maker.input) if graph_edit.weight(graph, one) is not None),
            -1,
        )
    else:
        return None
    return (maker, index) if index >= 0 and maker.input[index] else None


def _constant(graph: onnx.GraphProto, name: str) -> Vector:
    return np.asarray(graph_edit.weight(graph, name), np.float32)
