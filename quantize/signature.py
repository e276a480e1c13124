"""The inputs and outputs of a graph, as a manifest lists them."""

from __future__ import annotations

from collections.abc import Iterable

import onnx

from distilroberta.runtime.manifest import TensorSpec


def tensor_specs(values: Iterable[onnx.ValueInfoProto]) -> tuple[TensorSpec, ...]:
    """Describe `graph.input` or `graph.output`: names, dtypes, and sizes or axis names."""
    specs = []
    for value in values:
        tensor = value.type.tensor_type
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
        shape = tuple(dim.dim_param or dim.dim_value for dim in tensor.shape.dim)
        specs.append(TensorSpec(value.name, str(dtype), shape))
    return tuple(specs)
