"""The plain INT8 form of our graphs, to compare `int8` with: one scale for a whole activation.

The scheme of `onnxruntime.quantization.quantize_dynamic` with `per_channel=True`, on the graph that
is served, with the attention operator, the word embedding and the vocabulary projection of `int8`,
so that the two differ in the scheme alone; a value that several products read is quantized once.
Operators: `DynamicQuantizeLinear` (opset 11) gives U8 activations with one scale for the tensor,
`MatMulInteger` (opset 10) the int32 product, two `Mul` the scales. onnxruntime fuses them. An
answer depends on its batch mates, so no variant is made so.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from distilroberta.quantize import attention, graph_edit, onnx_file
from distilroberta.quantize.columns import quantize_columns
from distilroberta.quantize.tied_embedding import quantize_embedding
from distilroberta.runtime import Artifact

SCHEME = (
    "our served graph, attention fused as in int8, in the scheme of quantize_dynamic: one scale "
    "for a whole activation"
)
_FP32 = "fp32"


def write(artifact: Artifact, path: Path) -> None:
    """Write the served FP32 graph of an artifact in this form, as one file."""
    model = onnx.load(artifact.path / artifact.variant(_FP32).graph)
    attention.fuse(model)
    quantize_products(model)
    quantize_embedding(model, "one")
    onnx_file.write(model, path)


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
