"""Attention as one operator, where the graph has its parts.

`Attention` (ONNX opset 23) takes Q, K and V as their products give them and adds the mask within
the product of Q and K. onnxruntime's kernel reads the heads in place, where the parts need a
transposed copy of each. It is in onnxruntime from 1.24 on; 1.23 has it, and lacks other operators
of that opset.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from distilroberta.quantize import graph_edit
from distilroberta.quantize.errors import QuantizationError

OPSET = 23
ONNXRUNTIME = "1.24.2"
# Batch, length, heads, width of a head.
_AXES = 4


@dataclass(frozen=True)
class _Parts:
    # What the operator reads, the number of heads, and the node that gives its result.
    query: str
    key: str
    value: str
    bias: str
    heads: int
    last: onnx.NodeProto


def fuse(model: onnx.ModelProto) -> None:
    """Put `Attention` in place of its parts.

    Args:
        model: a graph of `distilroberta.export`, changed in place.

    Raises:
        QuantizationError: what is around a softmax is not attention as this release exports it.
    """
    graph = model.graph
    makers = {name: node for node in graph.node for name in node.output}
    found = [_parts(graph, makers, node) for node in graph.node if node.op_type == "Softmax"]
    masks: dict[str, str] = {}
    for parts in found:
        nodes, mask = _mask(graph, makers, parts, masks)
        output = parts.last.output[0]
        nodes.append(
            helper.make_node(
                "Attention",
                [parts.query, parts.key, parts.value, mask],
                [output],
                name=f"{output}_attention",
                q_num_heads=parts.heads,
                kv_num_heads=parts.heads,
                scale=1.0,  # in the weights of Q
            )
        )
        graph_edit.replace_node(graph, parts.last, nodes)
    graph_edit.drop_unused_nodes(graph)
    graph_edit.raise_opset(model, OPSET)


def _parts(
    graph: onnx.GraphProto, makers: dict[str, onnx.NodeProto], softmax: onnx.NodeProto
) -> _Parts:
    biased = _maker(makers, softmax.input[0], "Add")
    scores = _maker(makers, biased.input[0], "MatMul")
    average = _reader(graph, softmax.output[0], "MatMul")
    transposed = _reader(graph, average.output[0], "Transpose")
    last = _reader(graph, transposed.output[0], "Reshape")
    # A transposed copy of each, of what was reshaped to heads.
    query, key, value = (
        _maker(makers, _maker(makers, name, "Transpose").input[0], "Reshape")
        for name in (*scores.input, average.input[1])
    )
    heads = _heads(graph, makers, _maker(makers, query.input[1], "Concat"))
    return _Parts(query.input[0], key.input[0], value.input[0], biased.input[1], heads, last)


def _mask(
    graph: onnx.GraphProto,
    makers: dict[str, onnx.NodeProto],
    parts: _Parts,
    made: dict[str, str],
) -> tuple[list[onnx.NodeProto], str]:
    # The operator wants a row for each query. Layers with a query for each key share theirs.
    rows = _read(makers, parts.query)
    whole = rows == _read(makers, parts.key)
    if whole and parts.bias in made:
        return [], made[parts.bias]
    name = f"{parts.last.output[0]}_mask"
    length, shape = f"{name}_length", f"{name}_shape"
    one = graph_edit.add_weight(graph, f"{name}_one", np.array([1], np.int64))
    if whole:
        made[parts.bias] = name
    return [
        helper.make_node("Shape", [parts.query], [length], name=length, start=1, end=2),
        helper.make_node("Concat", [one, one, length, one], [shape], name=shape, axis=0),
        helper.make_node("Expand", [parts.bias, shape], [name], name=name),
    ], name


def _read(makers: dict[str, onnx.NodeProto], biased: str) -> str:
    # What the product before a bias reads.
    terms = [makers[name] for name in _maker(makers, biased, "Add").input if name in makers]
    products = [node for node in terms if node.op_type == "MatMul"]
    if len(products) != 1:
        raise _other_form(f"{biased} is no product and a bias")
    return str(products[0].input[0])


def _maker(makers: dict[str, onnx.NodeProto], name: str, kind: str) -> onnx.NodeProto:
    node = makers.get(name)
    if node is None or node.op_type != kind:
        raise _other_form(f"{name} is not the output of a {kind}")
    return node


def _reader(graph: onnx.GraphProto, name: str, kind: str) -> onnx.NodeProto:
    for node in graph.node:
        if node.op_type == kind and name in node.input:
            return node
    raise _other_form(f"no {kind} reads {name}")


def _heads(graph: onnx.GraphProto, makers: dict[str, onnx.NodeProto], shape: onnx.NodeProto) -> int:
    # The third of the four sizes that a product is reshaped to.
    if len(shape.input) != _AXES:
        raise _other_form(f"{shape.output[0]} is not a shape of {_AXES} axes")
    name = shape.input[2]
    stored = graph_edit.weight(graph, name)
    if stored is None:
        constant = _maker(makers, name, "Constant")
        stored = numpy_helper.to_array(constant.attribute[0].t)
    if stored.size != 1:
        raise _other_form(f"{name} is not a number of heads")
    return int(stored.item())


def _other_form(found: str) -> QuantizationError:
    return QuantizationError(
        f"the artifact's fp32 graph is not as this release exports it ({found}): build the "
        "artifact again"
    )
