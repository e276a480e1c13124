"""The FP16 variant: weights and arithmetic in half precision, inputs and outputs as they were."""

from __future__ import annotations

import onnx
from onnxruntime.transformers.float16 import convert_float_to_float16

SCHEME = "FP16 weights and arithmetic, FP32 outputs"


def to_fp16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return an FP16 copy of an FP32 graph; inputs stay int64 and outputs float32."""
    half = onnx.ModelProto()
    half.CopyFrom(model)
    converted: onnx.ModelProto = convert_float_to_float16(half, keep_io_types=True)
    return converted
