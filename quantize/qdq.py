"""Products between `QuantizeLinear` and `DequantizeLinear`, the form other tools fuse.

TensorRT, OpenVINO, the compilers of NPUs and onnxruntime read a pair of these operators before a
product as: this product is one of integers. All is symmetric, as TensorRT asks for
(https://docs.nvidia.com/deeplearning/tensorrt/latest/inference-library/work-quantized-types.html):
zero points of 0, activations S8 with one constant scale, weights S8 with a scale for each column.
The operators are those of opset 13.

Two forms are chosen so that onnxruntime, too, runs integers on a CPU. Each product has its own
pair, even where two read the same values: where codes have several readers, it does not fuse them.
And a product of two dimensions is a `Gemm` and an `Add`: of a `MatMul` and its bias it makes a
`Gemm` before it looks for integers, and a `Gemm` with a bias in FP32 it does not fuse.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from distilroberta.quantize import graph_edit, products
from distilroberta.quantize.bias_correction import corrected_bias
from distilroberta.quantize.products import Product
from distilroberta.quantize.saturation import quantize_bounded_columns
from distilroberta.quantize.smoothing import Smoothing, Vector

_ZERO = "zero_point"
_ONE = "unit_scale"


@dataclass(frozen=True)
class Values:
    """What a product reads: how that is smoothed to within -127..127, and its mean before that.

    The mean is float32 (channels,).
    """

    smoothing: Smoothing
    mean: Vector

    @property
    def smoothed_mean(self) -> Vector:
        """The mean of what is rounded, float32 (channels,)."""
        return (self.mean - self.smoothing.shift) / self.smoothing.divisor


def quantize_product(
    graph: onnx.GraphProto, product: Product, values: Values, *, is_matrix: bool
) -> None:
    """Put integers in place of a product and its bias.

    Args:
        graph: an FP32 graph, changed in place.
        product: one of its products.
        values: what it reads.
        is_matrix: whether that has two dimensions.
    """
    smoothing = values.smoothing
    name = product.weight
    weight = products.matrix(graph, name)
    codes, scales = quantize_bounded_columns(smoothing.weight(weight))
    bias = corrected_bias(
        _bias(graph, product),
        values.mean,
        weight,
        values.smoothed_mean,
        codes * scales,
    )
    graph_edit.add_weight(graph, f"{name}_quantized", codes)
    graph_edit.add_weight(graph, f"{name}_scale", scales)
    factor = graph_edit.add_weight(graph, f"{name}_factor", 1 / smoothing.divisor)
    shift, shifted = shifted_values(graph, product.values, name, smoothing.shift)
    smooth, sums = f"{name}_smooth", f"{name}_product"
    nodes = [
        shift,
        helper.make_node("Mul", [shifted, factor], [smooth], name=smooth),
        *rounded_values(graph, smooth, name, unit_scale(graph)),
        dequantized_weight(graph, name, axis=1),
        helper.make_node(
            "Gemm" if is_matrix else "MatMul",
            operands(name),
            [sums],
            name=product.node.name,
        ),
        helper.make_node(
            "Add",
            [sums, graph_edit.add_weight(graph, f"{name}_bias", bias)],
            [product.output if product.bias is None else product.bias.output[0]],
            name=f"{name}_sum",
        ),
    ]
    graph_edit.replace_node(graph, product.node, nodes)
    if product.bias is not None:
        graph.node.remove(product.bias)


def _bias(graph: onnx.GraphProto, product: Product) -> Vector:
    if product.bias is None:
        return np.zeros(products.matrix(graph, product.weight).shape[1], np.float32)
    return np.asarray(graph_edit.weight(graph, product.bias_name()), np.float32)


def shifted_values(
    graph: onnx.GraphProto, values: str, weight: str, shift: Vector
) -> tuple[onnx.NodeProto, str]:
    """Return the node that takes the shift from what a weight multiplies, and its output."""
    output = f"{weight}_shifted"
    inputs = [values, graph_edit.add_weight(graph, f"{weight}_shift", shift)]
    return helper.make_node("Sub", inputs, [output], name=output), output


def rounded_values(
    graph: onnx.GraphProto, values: str, weight: str, scale: str
) -> list[onnx.NodeProto]:
    """Return the pair of nodes that rounds what a weight multiplies."""
    codes, rounded = f"{weight}_values_codes", operands(weight)[0]
    constants = [scale, zero_point(graph)]
    return [
        helper.make_node("QuantizeLinear", [values, *constants], [codes], name=codes),
        helper.make_node("DequantizeLinear", [codes, *constants], [rounded], name=rounded),
    ]


def dequantized_weight(graph: onnx.GraphProto, weight: str, axis: int) -> onnx.NodeProto:
    """Return the node that reads `{weight}_quantized` and `{weight}_scale`, one scale per index.

    `Gemm` is fused only if the zero points are there.
    """
    output, scales = operands(weight)[1], f"{weight}_scale"
    zeros = np.zeros_like(graph_edit.weight(graph, scales), np.int8)
    zero_points = graph_edit.add_weight(graph, f"{weight}_zero_points", zeros)
    inputs = [f"{weight}_quantized", scales, zero_points]
    return helper.make_node("DequantizeLinear", inputs, [output], name=output, axis=axis)


def operands(weight: str) -> list[str]:
    """Return the names that a product with a weight reads once both sides are rounded."""
    return [f"{weight}_values_rounded", f"{weight}_dequantized"]


def unit_scale(graph: onnx.GraphProto) -> str:
    """Return the name of a scale of 1, which the graph gets if it has none."""
    return _constant(graph, _ONE, np.array(1, np.float32))


def zero_point(graph: onnx.GraphProto) -> str:
    """Return the name of a zero point of 0, which the graph gets if it has none."""
    return _constant(graph, _ZERO, np.array(0, np.int8))


def _constant(graph: onnx.GraphProto, name: str, value: NDArray[np.generic]) -> str:
    if graph_edit.weight(graph, name) is None:
        graph_edit.add_weight(graph, name, value)
    return name
