"""What a graph must at least do for a workload: operations of its matrix products, bytes to read.

A product of (rows, inner) with (inner, columns) is 2 x rows x inner x columns operations. Which
products a graph has, and in which precision, is read from its nodes; how many rows each one has,
from one run, since that can depend on the texts (where a mask stands). So a last layer that runs
where it is read, or a vocabulary projection at the masks alone, counts for what it is.

With T tokens in B texts of L tokens, R positions that are read, a hidden size H, a feed-forward
size F, n layers and C classes, our served graphs have in matrix products

    (n - 1) x (8 T H H + 4 T H F + 4 B L L H)                every layer but the last
    4 T H H + 2 (A + R) H H + 4 R H F + 4 A L H              the last layer
    2 R H H + 2 R H C                                        the head

where A is R, but at least 2 in each text,
operations, of which the terms with L (attention) are products of two activations. The bytes are
those of the weights of all products, each read once: the word embedding only where it is a product
too. Layer norms, softmax, activation functions and quantizing are not counted: this is a lower
bound.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from distilroberta.bench.engines.sessions import arrays
from distilroberta.bench.errors import BenchError
from distilroberta.bench.harness.workload import Workload
from distilroberta.quantize.observe import observe

# Of ONNX opset 23: two products of activations, Q and K, then what the softmax gives and V.
_ATTENTION = "Attention"
# The places of the activation and of the other factor among a product's inputs.
_FACTORS = {
    _ATTENTION: (0, 1),
    "MatMul": (0, 1),
    "Gemm": (0, 1),
    "MatMulInteger": (0, 1),
    "MatMulIntegerToFloat": (0, 1),
    "MatMulNBits": (0, 1),
    "QLinearMatMul": (0, 3),
}
_INTEGER = frozenset({"MatMulInteger", "MatMulIntegerToFloat", "QLinearMatMul"})
# What an operator is called that hides a product, of which there are more than stand above.
_LIKE_A_PRODUCT = ("MatMul", "Gemm", "Attention", "Einsum", "Conv")
# What stands between a weight as it is stored and the product that reads it.
_VIEWS = frozenset({"Cast", "DequantizeLinear", "Identity", "Reshape", "Transpose"})
_INT8_ACCURACY = 4  # of MatMulNBits: its activations are quantized to 8 bits


@dataclass(frozen=True)
class Work:
    """Operations in 8 bits and in floating point, and the bytes of the weights they read."""

    int8_operations: int
    float_operations: int
    weight_bytes: int

    def times(self, texts: int) -> Work:
        """Return the work of so many such texts in one call, which reads the weights once."""
        return Work(self.int8_operations * texts, self.float_operations * texts, self.weight_bytes)


def count(path: Path, workloads: Sequence[Workload]) -> dict[str, Work]:
    """Count the work of a graph for each workload, by its name.

    Args:
        path: a graph with the inputs `input_ids` and `attention_mask`, or one of them.
        workloads: what it is run on, once each.

    Raises:
        BenchError: a node multiplies in a way that is not known here.
    """
    model = onnx.load(str(path))
    products = [(product, _is_integer(product, model.graph)) for product in _products(model, path)]
    size = _bytes(model.graph, [product for product, _ in products])
    feeds = (_feed(workload) for workload in workloads)
    names = [name for product, _ in products for name in _measured(product)]
    works = {}
    for workload, values in zip(workloads, observe(model, names, feeds), strict=True):
        operations = {True: 0, False: 0}
        for product, is_integer in products:
            first, second = (values[name] for name in _measured(product))
            operations[is_integer] += (
                4 * first.size * second.shape[-2]
                if product.op_type == _ATTENTION
                else 2 * first.shape[-1] * second.size
            )
        works[workload.name] = Work(operations[True], operations[False], size)
    return works


def _feed(workload: Workload) -> dict[str, NDArray[np.int64]]:
    ids, mask = arrays(workload)
    return {"input_ids": ids, "attention_mask": mask}


def _products(model: onnx.ModelProto, path: Path) -> Iterator[onnx.NodeProto]:
    for node in model.graph.node:
        if _is_known(node):
            yield node
        elif any(name in node.op_type for name in _LIKE_A_PRODUCT):
            raise BenchError(f"{path}: the work of node {node.name}, {node.op_type}, is not known")


def _is_known(node: onnx.NodeProto) -> bool:
    # onnxruntime has an operator of that name of its own, with a weight.
    is_other = node.op_type == _ATTENTION and bool(node.domain)
    return node.op_type in _FACTORS and not is_other and not _attribute(node, "transA")


def _measured(product: onnx.NodeProto) -> tuple[str, str]:
    # The values whose shapes say how much work it is: activation and result, or Q and K.
    if product.op_type == _ATTENTION:
        return product.input[0], product.input[1]
    return _activation(product), product.output[0]


def _activation(product: onnx.NodeProto) -> str:
    return product.input[_FACTORS[product.op_type][0]]


def _attribute(node: onnx.NodeProto, name: str) -> int:
    return next((one.i for one in node.attribute if one.name == name), 0)


def _is_integer(product: onnx.NodeProto, graph: onnx.GraphProto) -> bool:
    if product.op_type == "MatMulNBits":
        return _attribute(product, "accuracy_level") == _INT8_ACCURACY
    # QDQ: onnxruntime multiplies in 8 bits where both factors are only dequantized for it.
    dequantized = {
        name for node in graph.node if node.op_type == "DequantizeLinear" for name in node.output
    }
    factors = {product.input[place] for place in _FACTORS[product.op_type]}
    return product.op_type in _INTEGER or factors <= dequantized


def _bytes(graph: onnx.GraphProto, products: Sequence[onnx.NodeProto]) -> int:
    views = {name: node for node in graph.node if node.op_type in _VIEWS for name in node.output}
    weights = {tensor.name: tensor for tensor in graph.initializer}
    found: set[str] = set()
    for product in products:
        names = [name for name in product.input if name != _activation(product)]
        while names:
            name = names.pop()
            if name in weights:
                found.add(name)
            elif name in views:
                names += views[name].input
    return sum(_size(weights[name]) for name in found)


def _size(tensor: TensorProto) -> int:
    return len(tensor.raw_data) or numpy_helper.to_array(tensor).nbytes
