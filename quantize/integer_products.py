"""Matrix products of U8 activations and 8-bit weights, row by row independent.

`com.microsoft.MatMulIntegerToFloat` multiplies integers and applies the scales of activation and
weights, and the bias, while the result is in cache. Its scale of the activations is one number
here: with a scale for each row it multiplies the bias by it as well, so a row's scale is a `Mul`
after it. A row is quantized by `QuantizeLinear` in blocks of a whole row (opset 21), which takes a
scale for each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from distilroberta.quantize import graph_edit, products
from distilroberta.quantize.columns import quantize_columns
from distilroberta.quantize.products import Product
from distilroberta.quantize.saturation import quantize_bounded_columns
from distilroberta.quantize.smoothing import Smoothing
from distilroberta.quantize.targets import Target

# The first with blocks in QuantizeLinear.
_OPSET = 21

_MIDDLE = 128
_LARGEST = 127
# The zero point of one-sided values: room for what is below zero.
_LOW_ZERO = 16
_HIGHEST = 255 - _LOW_ZERO


@dataclass(frozen=True)
class Static:
    """Smoothed values with a constant scale, which the smoothing makes 1.

    With `smoothed` they come smoothed from the product before. `gives` is the smoothing of what the
    product itself gives.
    """

    smoothing: Smoothing
    smoothed: bool = False
    gives: Smoothing | None = None


@dataclass(frozen=True)
class PerRow:
    """A scale for each row.

    `lowest` is None for values on both sides of zero. Otherwise no value is expected below
    -lowest, and nearly all codes serve the positive ones.
    """

    lowest: float | None


def rewrite(
    model: onnx.ModelProto,
    found: Mapping[str, Product],
    forms: Mapping[str, Static | PerRow],
    target: Target,
) -> None:
    """Quantize the products whose weights `forms` names; all others stay.

    Args:
        model: an FP32 graph, changed in place; its opset is raised to 21 if it is older.
        found: its products by weight.
        forms: how their values are quantized, by weight. Products that read the same values must
            have the same form.
        target: what the weights are for.
    """
    graph_edit.raise_opset(model, _OPSET)
    writer = _Writer(model.graph, target)
    for weight, form in forms.items():
        if isinstance(form, Static):
            writer.static(found[weight], form)
        else:
            writer.per_row(found[weight], form)


class _Writer:
    """Replaces products; quantizes what several of them read once."""

    def __init__(self, graph: onnx.GraphProto, target: Target) -> None:
        self._graph = graph
        self._target = target
        self._codes: dict[str, str] = {}
        self._zero_points: dict[tuple[bool, int], str] = {}
        self._constants: set[str] = set()

    def static(self, product: Product, form: Static) -> None:
        """Put quantized values, the product and its bias in place of the product."""
        assert product.bias is not None
        smoothing = form.smoothing
        nodes: list[onnx.NodeProto] = []
        weight = products.matrix(self._graph, product.weight)
        bias = np.asarray(graph_edit.weight(self._graph, product.bias_name()), np.float32)
        codes = self._codes.get(product.values)
        if codes is None:
            nodes, codes = self._static_codes(product, form)
        weight, bias = smoothing.weight(weight), smoothing.bias(weight, bias)
        if form.gives is not None:
            weight, bias = form.gives.of_product(weight, bias)
        bias_name = graph_edit.add_weight(self._graph, f"{product.weight}_bias", bias)
        output = str(product.bias.output[0])
        nodes.append(self._product(product, codes, _MIDDLE, weight, output, bias_name))
        graph_edit.replace_node(self._graph, product.node, nodes)
        self._graph.node.remove(product.bias)

    def per_row(self, product: Product, form: PerRow) -> None:
        """Put quantized values, the product and the rows' scales in place of the product."""
        nodes: list[onnx.NodeProto] = []
        scale = f"{product.values}_scale"
        weight = products.matrix(self._graph, product.weight)
        zero = _MIDDLE if form.lowest is None else _LOW_ZERO
        codes = self._codes.get(product.values)
        if codes is None:
            nodes, codes = self._row_codes(product, scale, form)
        unscaled = f"{product.output}_unscaled"
        nodes.append(self._product(product, codes, zero, weight, unscaled, ""))
        nodes.append(
            helper.make_node("Mul", [unscaled, scale], [product.output], name=f"{unscaled}_rescale")
        )
        graph_edit.replace_node(self._graph, product.node, nodes)

    def _static_codes(self, product: Product, form: Static) -> tuple[list[onnx.NodeProto], str]:
        values = product.values
        smooth, codes = f"{values}_smooth", f"{values}_codes"
        self._codes[values] = codes
        nodes = []
        if form.smoothed:
            smooth = values
        else:
            shift = graph_edit.add_weight(
                self._graph, f"{product.weight}_shift", form.smoothing.shift
            )
            factor = graph_edit.add_weight(
                self._graph, f"{product.weight}_factor", 1 / form.smoothing.divisor
            )
            shifted = f"{values}_shifted"
            nodes += [
                helper.make_node("Sub", [values, shift], [shifted], name=shifted),
                helper.make_node("Mul", [shifted, factor], [smooth], name=smooth),
            ]
        one, zero = self._constant(1.0, np.float32), self._constant(_MIDDLE, np.uint8)
        nodes.append(helper.make_node("QuantizeLinear", [smooth, one, zero], [codes], name=codes))
        return nodes, codes

    def _row_codes(
        self, product: Product, scale: str, form: PerRow
    ) -> tuple[list[onnx.NodeProto], str]:
        values = product.values
        largest, codes = f"{values}_largest", f"{values}_codes"
        self._codes[values] = codes
        last_axis = self._constant([-1], np.int64)
        nodes = []
        if form.lowest is None:
            size = f"{values}_size"
            zero, levels, unbounded = _MIDDLE, _LARGEST, scale
            nodes.append(helper.make_node("Abs", [values], [size], name=size))
        else:
            size = values
            zero, levels, unbounded = _LOW_ZERO, _HIGHEST, f"{scale}_above"
        reduced = largest if _is_whole(product) else f"{values}_reduced"
        nodes.append(
            helper.make_node("ReduceMax", [size, last_axis], [reduced], name=reduced, keepdims=1)
        )
        if reduced != largest:
            # A fill-mask graph has no rows here where there is no mask, and of no rows
            # onnxruntime's ReduceMax keeps every column.
            ends = [self._constant([place], np.int64) for place in (0, 1)]
            nodes.append(
                helper.make_node("Slice", [reduced, *ends, last_axis], [largest], name=largest)
            )
        step = self._constant(1 / levels, np.float32)
        nodes.append(helper.make_node("Mul", [largest, step], [unbounded], name=unbounded))
        if form.lowest is not None:
            least = self._constant(form.lowest / _LOW_ZERO, np.float32)
            nodes.append(helper.make_node("Max", [unbounded, least], [scale], name=scale))
        nodes += self._zeros(product, scale, zero)
        zeros = self._zero_points[_is_whole(product), zero]
        width = products.matrix(self._graph, product.weight).shape[0]
        nodes.append(
            helper.make_node(
                "QuantizeLinear",
                [values, scale, zeros],
                [codes],
                name=codes,
                axis=-1,
                block_size=width,
            )
        )
        return nodes, codes

    def _zeros(self, product: Product, scale: str, zero: int) -> list[onnx.NodeProto]:
        # As many zero points as scales, all the same: the operator asks for them. The layers that
        # see every token have as many rows each, and share them.
        key = (_is_whole(product), zero)
        if key in self._zero_points:
            return []
        shape, zeros = f"{scale}_shape", f"{scale}_zeros"
        self._zero_points[key] = zeros
        value = helper.make_tensor("value", TensorProto.UINT8, [1], [zero])
        return [
            helper.make_node("Shape", [scale], [shape], name=shape),
            helper.make_node("ConstantOfShape", [shape], [zeros], name=zeros, value=value),
        ]

    def _product(
        self,
        product: Product,
        codes: str,
        zero: int,
        weight: NDArray[np.float32],
        output: str,
        bias: str,
    ) -> onnx.NodeProto:
        quantize = quantize_bounded_columns if self._target.bounded else quantize_columns
        weight_codes, scales = quantize(weight)
        weight_zero = ""
        if not self._target.signed:
            weight_codes = (weight_codes.astype(np.int16) + _MIDDLE).astype(np.uint8)
            weight_zero = self._constant(_MIDDLE, np.uint8)
        name = product.weight
        return helper.make_node(
            "MatMulIntegerToFloat",
            [
                codes,
                graph_edit.add_weight(self._graph, f"{name}_quantized", weight_codes),
                self._constant(1.0, np.float32),
                graph_edit.add_weight(self._graph, f"{name}_scale", scales),
                self._constant(zero, np.uint8),
                weight_zero,
                bias,
            ],
            [output],
            name=product.node.name,
            domain=graph_edit.CONTRIB,
        )

    def _constant(self, value: float | list[int], dtype: type[np.generic]) -> str:
        name = f"constant_{np.dtype(dtype).name}_{value}"
        if name not in self._constants:
            self._constants.add(name)
            graph_edit.add_weight(self._graph, name, np.array(value, dtype))
        return name


def _is_whole(product: Product) -> bool:
    return product.weight.startswith("encoder.layer.")
