"""Small helpers to rewrite the nodes of an ONNX graph in place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

CONTRIB = "com.microsoft"
_REDUCTIONS = frozenset({"ReduceMax", "ReduceMean", "ReduceMin"})


def weight(graph: onnx.GraphProto, name: str) -> NDArray[np.generic] | None:
    """Return an initializer's values, or None if `name` is not an initializer."""
    for tensor in graph.initializer:
        if tensor.name == name:
            return numpy_helper.to_array(tensor)
    return None


def add_weight(graph: onnx.GraphProto, name: str, values: NDArray[np.generic]) -> str:
    """Add an initializer and return its name."""
    # np.ascontiguousarray would make a vector of a number.
    graph.initializer.append(numpy_helper.from_array(np.asarray(values, order="C"), name))
    return name


def replace_node(
    graph: onnx.GraphProto, old: onnx.NodeProto, new: Sequence[onnx.NodeProto]
) -> None:
    """Put nodes where `old` stands; the last one must give its outputs."""
    place = next(index for index, node in enumerate(graph.node) if node is old)
    del graph.node[place]
    for offset, node in enumerate(new):
        graph.node.insert(place + offset, node)


def drop_unused_nodes(graph: onnx.GraphProto) -> None:
    """Remove the nodes of which nothing is read, and those that only they read."""
    read = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):  # in an order in which a value is made before it is read
        if read & set(node.output):
            kept.append(node)
            read.update(filter(None, node.input))  # "" stands for one that is left out
    del graph.node[:]
    graph.node.extend(reversed(kept))


def drop_unused_weights(graph: onnx.GraphProto) -> None:
    """Remove the initializers that no node reads."""
    read = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def uses_contrib_operators(model: onnx.ModelProto) -> None:
    """Declare the opset of onnxruntime's contributed operators."""
    if not any(opset.domain == CONTRIB for opset in model.opset_import):
        model.opset_import.append(helper.make_opsetid(CONTRIB, 1))


def raise_opset(model: onnx.ModelProto, opset: int) -> None:
    """Declare a newer opset of the default domain, and bring its nodes up to it.

    Of the operators in the graphs of `distilroberta.export`, those that reduce changed between 17
    and 23: their axes became an input (opset 18). Others only take more types, or an attribute
    more whose default is what they did before.
    """
    for declared in model.opset_import:
        if not declared.domain:
            declared.version = max(declared.version, opset)
    for node in model.graph.node:
        if node.op_type not in _REDUCTIONS:
            continue
        for attribute in node.attribute:
            if attribute.name == "axes":
                axes = np.array(attribute.ints, np.int64)
                node.input.append(add_weight(model.graph, f"{node.output[0]}_axes", axes))
                node.attribute.remove(attribute)
                break
