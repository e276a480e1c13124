"""The INT8 variant for other runtimes: everything constant, between Q and DQ operators.

Every scale is found on calibration texts, so nothing is measured while the graph runs: what
TensorRT, OpenVINO and NPUs ask for (see `qdq`). One scale serves all channels of what a product
reads, once they are smoothed (see `smoothing`), and the bias takes back what rounding does to the
mean (see `bias_correction`). The word embedding is stored once, in 8 bits. Weights are bounded, so
that the answers are the same on an x86 without VNNI (see `saturation`).

Attention's own products, of two activations, stay in FP32: at 128 tokens they are 3% of a layer's
work. So do the additions around a layer, and the products of the head, which are a hundredth of
the work and act on the logits with nothing in between that evens them out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import onnx

from distilroberta.quantize import (
    graph_edit,
    products,
    qdq,
    qdq_embedding,
    ranges,
    ranges_file,
    tensor_ranks,
)
from distilroberta.quantize.options import check_place
from distilroberta.quantize.products import Product
from distilroberta.quantize.qdq import Values
from distilroberta.quantize.ranges import Operand, Ranges
from distilroberta.quantize.recipe import Feed, Kept, Options, Prepared, Recipe, Views
from distilroberta.quantize.smoothing import ChannelRange, Smoothing, smooth

_LARGEST = 127
_SMALLEST = np.float32(1e-5)
_MATRIX = 2


def prepare(model: onnx.ModelProto, feeds: Iterable[Feed], options: Options) -> Prepared:
    """See `recipe.Prepare`.

    Raises:
        InputError: the method is unknown, or a file of ranges can't be used or written.
        QuantizationError: the graph has no word embedding, or ranges can't be found.
    """
    operands = {one.weight: _operand(model.graph, one) for one in _products(model.graph)}
    weights = tuple(operands)
    _, projection = qdq_embedding.find(model.graph)
    if projection is not None:
        table = projection.input[1]
        hidden = products.matrix(model.graph, table).shape[1]
        operands[table] = Operand(projection.input[0], hidden, _shift_alone)
    known = _ranges(model, operands, feeds, options)
    values = {
        name: Values(operand.smooth(known.of[name].kept), known.of[name].mean)
        for name, operand in operands.items()
    }
    scheme = (
        f"QDQ: S8 activations (static, {known.method} of {known.texts} texts, channels smoothed), "
        "S8 weights (per channel, bounded against saturation); word embedding in 8 bits, head in "
        "FP32"
    )
    return Prepared(partial(_rewrite, values), scheme, weights)


# The graphs ran on 1.16.0, the oldest release that was tried.
RECIPE = Recipe(prepare, onnxruntime="1.16.0", lowest_cosine=0.98)


def _products(graph: onnx.GraphProto) -> list[Product]:
    return [one for one in products.find(graph) if one.in_encoder]


def _operand(graph: onnx.GraphProto, product: Product) -> Operand:
    largest = np.abs(products.matrix(graph, product.weight)).max(axis=1)
    how = partial(smooth, largest_weight=largest, limit=_LARGEST)
    return Operand(product.values, len(largest), how)


def _shift_alone(seen: ChannelRange) -> Smoothing:
    # For the vocabulary projection, see `qdq_embedding`.
    reach = np.maximum((seen.high - seen.low).max() / 2, _SMALLEST)
    divisor = np.full_like(seen.low, reach / np.float32(_LARGEST))
    return Smoothing(((seen.low + seen.high) / 2).astype(np.float32), divisor)


def _ranges(
    model: onnx.ModelProto,
    operands: Mapping[str, Operand],
    feeds: Iterable[Feed],
    options: Options,
) -> Ranges:
    if options.ranges is not None:
        channels = {name: operand.channels for name, operand in operands.items()}
        return ranges_file.load(Path(options.ranges), model.graph, channels)
    if options.save_ranges is not None:
        check_place(options.save_ranges)
    found = ranges.find(model, operands, feeds, options.method)
    if options.save_ranges is not None:
        ranges_file.save(Path(options.save_ranges), found, model.graph)
    return found


def _rewrite(
    values: Mapping[str, Values], model: onnx.ModelProto, views: Views, kept: Kept
) -> None:
    graph = model.graph
    ranks = tensor_ranks.ranks(model)
    for product in _products(graph):
        name = product.weight
        if name not in kept:
            is_matrix = ranks.get(product.values) == _MATRIX
            qdq.quantize_product(graph, product, values[name], is_matrix=is_matrix)
    lookup, _ = qdq_embedding.find(graph)
    qdq_embedding.quantize(graph, values.get(lookup.input[0]))
    graph_edit.drop_unused_weights(graph)
