"""What a recipe is: how the FP32 graphs of a checkpoint become a smaller variant.

An artifact may hold two graphs over the same weights (see `onnx_file`), so a recipe works in two
steps: `prepare` looks at the standard FP32 graph and, if it needs to, at what flows through it;
`rewrite` then turns each graph into the variant. A weight has one name in both graphs, so they
come out with the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import onnx
from numpy.typing import NDArray

from distilroberta.quantize.options import Options as Options

# How a graph gets the second shape of the tied embedding, see `tied_embedding`: `one` in a file of
# its own, `two` where the weights lie in another file.
Views = Literal["one", "two"]

# One batch of inputs by name: int64 `input_ids` and `attention_mask`, (batch, length) both.
Feed = dict[str, NDArray[np.int64]]

# The names of weights that stay as precise as they can.
Kept = frozenset[str]
NOTHING: Kept = frozenset()


@dataclass(frozen=True)
class Prepared:
    """A recipe made ready for one checkpoint.

    `rewrite` changes a copy of an FP32 graph in place; it keeps the products whose weights `kept`
    names in a higher precision. `weights` are the names it may be given, in graph order, and
    `scheme` says in words what is done.
    """

    rewrite: Callable[[onnx.ModelProto, Views, Kept], None]
    scheme: str
    weights: tuple[str, ...] = ()


class Prepare(Protocol):
    """Look at the standard FP32 graph, which must not be changed, and at what flows through it."""

    def __call__(self, model: onnx.ModelProto, feeds: Iterable[Feed], options: Options) -> Prepared:
        """Make a recipe ready.

        Args:
            model: the standard FP32 graph of `distilroberta.export`.
            feeds: batches to observe, which can be iterated over again.
            options: what the user chose.

        Raises:
            QuantizationError: the model can't be made smaller in this way.
        """


@dataclass(frozen=True)
class Recipe:
    """How a variant is made.

    `onnxruntime` is the oldest release that runs the result. `lowest_cosine` is the lowest cosine
    of its logits, all rows taken as one vector, that is still the same model: a graph put together
    wrongly is far below.
    """

    prepare: Prepare
    onnxruntime: str
    lowest_cosine: float


def apply(
    prepared: Prepared, model: onnx.ModelProto, views: Views, kept: Kept = NOTHING
) -> onnx.ModelProto:
    """Return a rewritten copy of an FP32 graph."""
    rewritten = onnx.ModelProto()
    rewritten.CopyFrom(model)
    prepared.rewrite(rewritten, views, kept)
    return rewritten
