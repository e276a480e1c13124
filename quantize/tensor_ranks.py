"""How many dimensions the values of a graph have."""

from __future__ import annotations

import onnx
from onnx import helper, shape_inference


def ranks(model: onnx.ModelProto) -> dict[str, int]:
    """Return the number of dimensions by name, of the values for which it can be inferred."""
    # Without the weights' values, of which inference would make copies.
    light = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    light.graph.node.extend(model.graph.node)
    light.graph.input.extend(model.graph.input)
    light.graph.input.extend(
        helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
        for tensor in model.graph.initializer
    )
    inferred = shape_inference.infer_shapes(light).graph
    return {
        value.name: len(value.type.tensor_type.shape.dim)
        for value in (*inferred.input, *inferred.value_info)
        if value.type.tensor_type.HasField("shape")
    }
