"""The INT8 variant: 8-bit products and an 8-bit tied embedding."""

from __future__ import annotations

from typing import Literal

import onnx

from distilroberta.quantize.matmul import quantize_products
from distilroberta.quantize.tied_embedding import quantize_embedding

SCHEME = (
    "dynamic U8 activations (per tensor), S8 weights (per channel); "
    "tied word embedding in blocks of 8 bits"
)


def to_int8(model: onnx.ModelProto, views: Literal["one", "two"] = "one") -> onnx.ModelProto:
    """Return an INT8 copy of an FP32 graph; inputs and outputs keep their types.

    Args:
        model: a graph of `distilroberta.export`.
        views: see `quantize_embedding`.

    Raises:
        QuantizationError: the graph has no word embedding, or its width is no multiple of 16.
    """
    quantized = onnx.ModelProto()
    quantized.CopyFrom(model)
    quantize_embedding(quantized, views)
    quantize_products(quantized)
    return quantized
