"""The FP16 variant: weights and arithmetic in half precision, inputs and outputs as they were.

Values that half precision can't hold stay in FP32, and with them the nodes that give or read them.
Which they are is measured on the standard graph (see `half_loss`) and carried over to the served
one by what they are computed from (see `origin`), so that both keep the same weights in FP32.

`onnxruntime.transformers.float16` (onnxruntime 1.31) can't leave such nodes in FP32: it rounds what
passes from one to the next, and writes an invalid graph where two of them read the same value.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import numpy as np
import onnx
from onnx import helper, numpy_helper

from distilroberta.quantize import products
from distilroberta.quantize.half_loss import too_coarse_in_half
from distilroberta.quantize.half_trials import float_values
from distilroberta.quantize.origin import MOVES, origins
from distilroberta.quantize.recipe import Feed, Kept, Options, Prepared, Recipe, Views

_FLOAT, _FLOAT16 = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16

_SCHEME = "FP16 weights and arithmetic, FP32 outputs"
# Nodes that compute nothing, and are not worth naming.
_AROUND = MOVES | {"Constant", "Shape"}


def prepare(model: onnx.ModelProto, feeds: Iterable[Feed], options: Options) -> Prepared:
    """See `recipe.Prepare`."""
    graph = model.graph
    exact = too_coarse_in_half(model, feeds)
    named = [node.name for node in _in_fp32(graph, exact) if node.op_type not in _AROUND]
    scheme = f"{_SCHEME}; in FP32: {', '.join(named)}" if named else _SCHEME
    weights = tuple(product.weight for product in products.find(graph))
    return Prepared(partial(_rewrite, exact), scheme, weights)


RECIPE = Recipe(prepare, onnxruntime="1.16.0", lowest_cosine=0.999)


def _rewrite(exact: frozenset[str], model: onnx.ModelProto, views: Views, kept: Kept) -> None:
    in_fp32 = {node.output[0] for node in _in_fp32(model.graph, exact | kept)}
    _Converter(model.graph, float_values(model), in_fp32).convert()


def _in_fp32(graph: onnx.GraphProto, exact: frozenset[str]) -> list[onnx.NodeProto]:
    # The nodes that give or read a value of these origins.
    origin = origins(graph)
    return [
        node
        for node in graph.node
        if any(origin.get(name) in exact for name in (*node.input, *node.output))
    ]


class _Converter:
    """Converts a graph to half precision, all but some nodes.

    Weights and constants stay in FP32 where only such nodes read them.
    """

    def __init__(self, graph: onnx.GraphProto, floats: frozenset[str], in_fp32: set[str]) -> None:
        """Take the names of the FP32 values, and the first outputs of the nodes that stay."""
        self._graph = graph
        self._floats = floats
        self._in_fp32 = in_fp32
        self._outputs = {value.name for value in graph.output}
        self._read_in_half = {
            name for node in graph.node if node.output[0] not in in_fp32 for name in node.input
        }
        # What a value is called in each precision it is there in.
        self._names: dict[tuple[str, int], str] = {}
        self._nodes: list[onnx.NodeProto] = []

    def convert(self) -> None:
        """Convert the graph in place; its inputs and outputs keep their types."""
        graph = self._graph
        for value in graph.input:
            self._names[value.name, _FLOAT] = value.name
        for tensor in graph.initializer:
            if tensor.name in self._floats & self._read_in_half:
                tensor.CopyFrom(_in_half(tensor))
            self._names[tensor.name, tensor.data_type] = tensor.name
        for node in graph.node:
            self._add(node)
        del graph.node[:], graph.value_info[:]
        graph.node.extend(self._nodes)

    def _add(self, given: onnx.NodeProto) -> None:
        node = onnx.NodeProto()
        node.CopyFrom(given)
        stays = node.output[0] in self._in_fp32
        if node.op_type == "Constant":
            stays = node.output[0] not in self._read_in_half
        kind = _FLOAT if stays else _FLOAT16
        if kind == _FLOAT16:
            _attributes_in_half(node)
        for index, name in enumerate(node.input):
            if name in self._floats:
                node.input[index] = self._cast(name, kind)
        self._nodes.append(node)
        for index, name in enumerate(node.output):
            self._names[name, kind] = name
            if kind == _FLOAT16 and name in self._floats & self._outputs:
                node.output[index] = self._names[name, kind] = f"{name}_fp16"
                self._cast(name, _FLOAT, name)

    def _cast(self, name: str, kind: int, result: str | None = None) -> str:
        # -> what the value is called in a precision. It is cast once, before its first reader.
        if (name, kind) not in self._names:
            other, suffix = (_FLOAT16, "fp32") if kind == _FLOAT else (_FLOAT, "fp16")
            result = result or f"{name}_{suffix}"
            source = self._names[name, other]
            cast = helper.make_node("Cast", [source], [result], name=f"{result}_cast", to=kind)
            self._nodes.append(cast)
            self._names[name, kind] = result
        return self._names[name, kind]


def _attributes_in_half(node: onnx.NodeProto) -> None:
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.TENSOR and attribute.t.data_type == _FLOAT:
            attribute.t.CopyFrom(_in_half(attribute.t))
        elif node.op_type == "Cast" and attribute.name == "to" and attribute.i == _FLOAT:
            attribute.i = _FLOAT16


def _in_half(tensor: onnx.TensorProto) -> onnx.TensorProto:
    return numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name)
