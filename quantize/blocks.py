"""A product with its weight in blocks of 8 bits: `com.microsoft.MatMulNBits`.

More exact than a scale for each column, and slower where there are many rows; for the products
after the encoder, which see few.
"""

from __future__ import annotations

import onnx

from distilroberta.quantize import nbits, products
from distilroberta.quantize.nbits import Blocks
from distilroberta.quantize.products import Product
from distilroberta.quantize.tied_embedding import block_size_for, quantize_blocks

_BITS = 8
# onnxruntime's kernels sum larger blocks in another order for one row than for many. What follows
# is quantized again, and turns a last bit into a step: an answer would depend on the batch.
_LARGEST_BLOCK = 64


def replace_product(graph: onnx.GraphProto, product: Product) -> None:
    """Put a product with blocks of 8 bits in place of one in FP32.

    Raises:
        QuantizationError: the weight's inner dimension is no multiple of 16.
    """
    weight = products.matrix(graph, product.weight)
    block = min(block_size_for(weight.shape[0], product.weight), _LARGEST_BLOCK)
    codes, scales = quantize_blocks(weight.T, block)
    nbits.replace_product(graph, product, Blocks(codes, scales, None, _BITS))
