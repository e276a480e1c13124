"""Matrix products in 8 bits: dynamic activations, weights with a scale for each column.

The scheme of `onnxruntime.quantization.quantize_dynamic` with `per_channel=True`, written out so
that both graphs of an artifact get the same bytes under the same names, that a value several
products read is quantized once, and that no zero points of zero are stored. Operators:
`DynamicQuantizeLinear` (opset 11) gives U8 activations with one scale for the tensor,
`MatMulInteger` (opset 10) the int32 product, two `Mul` the scales. onnxruntime fuses them.
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from distilroberta.quantize import graph_edit

_LARGEST = 127


def quantize_columns(weight: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Quantize each column of a (in, out) weight symmetrically to 8 bits.

    Returns:
        int8 (in, out) and float32 (out,), so that a value is code * scale. Codes stay within
        -127..127, so that the range is the same on both sides of zero.
    """
    scales = (np.abs(weight).max(axis=0) / np.float32(_LARGEST)).astype(np.float32)
    scales[scales == 0] = 1
    codes = np.clip(np.rint(weight / scales), -_LARGEST, _LARGEST)  # a subnormal scale rounds
    return codes.astype(np.int8), scales


def quantize_products(model: onnx.ModelProto) -> int:
    """Quantize every product of an activation with a constant matrix; return how many.

    Args:
        model: an FP32 graph, changed in place. Products of two activations (attention) stay.
    """
    graph = model.graph
    weights = {tensor.name for tensor in graph.initializer if len(tensor.dims) == 2}
    products = [n for n in graph.node if n.op_type == "MatMul" and n.input[1] in weights]
    quantized_inputs: dict[str, tuple[str, str, str]] = {}
    stored: set[str] = set()
    for product in products:
        values, name = product.input
        nodes = []
        if values not in quantized_inputs:
            outputs = tuple(f"{values}_{part}" for part in ("quantized", "scale", "zero_point"))
            quantized_inputs[values] = outputs  # type: ignore[assignment]
            nodes.append(
                helper.make_node(
                    "DynamicQuantizeLinear", [values], outputs, name=f"{values}_quantize"
                )
            )
        codes, scale, zero_point = quantized_inputs[values]
        if name not in stored:
            stored.add(name)
            weight = np.asarray(graph_edit.weight(graph, name), dtype=np.float32)
            weight_codes, weight_scales = quantize_columns(weight)
            graph_edit.add_weight(graph, f"{name}_quantized", weight_codes)
            graph_edit.add_weight(graph, f"{name}_scale", weight_scales)
        nodes += _product(product, codes, scale, zero_point, name)
        graph_edit.replace_node(graph, product, nodes)
    graph_edit.drop_unused_weights(graph)
    return len(products)


def _product(
    product: onnx.NodeProto, codes: str, scale: str, zero_point: str, weight: str
) -> list[onnx.NodeProto]:
    name, (output,) = product.name, product.output
    integers, reals, scales = f"{output}_int32", f"{output}_float", f"{output}_scales"
    return [
        helper.make_node(
            "MatMulInteger", [codes, f"{weight}_quantized", zero_point], [integers], name=name
        ),
        helper.make_node("Cast", [integers], [reals], name=f"{name}_cast", to=TensorProto.FLOAT),
        helper.make_node("Mul", [scale, f"{weight}_scale"], [scales], name=f"{name}_scales"),
        helper.make_node("Mul", [reals, scales], [output], name=f"{name}_rescale"),
    ]
