"""The matrix products of a graph that have a weight: what quantization is about."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from distilroberta.quantize import graph_edit

# Where the weights of the encoder's layers are named; all others are a head's.
_ENCODER = "encoder."
# A head's product with fewer columns is the last of a classifier: its weight is next to nothing,
# and nothing after it evens out what rounding does to its logits.
FEWEST_COLUMNS = 128


@dataclass(frozen=True)
class Product:
    """`values @ weight`, with the weight's name and the name of what it is multiplied with.

    `bias` is the `Add` of a constant that follows, None where something else does.
    """

    node: onnx.NodeProto
    values: str
    weight: str
    bias: onnx.NodeProto | None

    @property
    def output(self) -> str:
        """The name of the product, before a bias."""
        return str(self.node.output[0])

    @property
    def in_encoder(self) -> bool:
        """Whether it belongs to a layer of the encoder, not to the head."""
        return self.weight.startswith(_ENCODER)

    def bias_name(self) -> str:
        """Return the name of the constant that `bias` adds."""
        if self.bias is None:
            raise ValueError(f"{self.weight} has no bias")
        return str(next(name for name in self.bias.input if name != self.output))


def find(graph: onnx.GraphProto) -> list[Product]:
    """Return the products of an activation with a constant matrix, in graph order.

    Those of two activations (attention), those of a head with few columns and the vocabulary
    projection, which is a `Gemm` (see `tied_embedding`), are left out.
    """
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    found = []
    for node in graph.node:
        shape = shapes.get(node.input[1]) if node.op_type == "MatMul" else None
        if shape is None or len(shape) != 2:
            continue
        after = readers.get(node.output[0], [])
        is_bias = (
            len(after) == 1 and after[0].op_type == "Add" and set(after[0].input) & set(shapes)
        )
        bias = after[0] if is_bias else None
        product = Product(node, str(node.input[0]), str(node.input[1]), bias)
        if product.in_encoder or shape[1] >= FEWEST_COLUMNS:
            found.append(product)
    return found


def matrix(graph: onnx.GraphProto, name: str) -> NDArray[np.float32]:
    """Return a weight's values as float32 (in, out)."""
    return np.asarray(graph_edit.weight(graph, name), dtype=np.float32)
