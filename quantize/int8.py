"""The INT8 variant: 8-bit products and an 8-bit tied embedding, the same answer in every batch.

No scale depends on another row, so an answer does not depend on its batch mates or its padding.
What a product reads decides how that is done:

* the output of a layer norm: its rows are equally long, so one constant scale serves all of them,
  once its channels are smoothed (see `smoothing`). The ranges come from the calibration text, with
  room to spare; a value beyond it is clipped;
* what attention gives: the same, and the smoothing is part of the weight before (see `attended`);
* what an activation gives: each row its own scale, from its largest value;
* the products after the encoder, few rows each: blocks of 8 bits with a scale each, like the
  embedding (see `tied_embedding`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import onnx

from distilroberta.quantize import (
    attention,
    blocks,
    graph_edit,
    integer_products,
    observe,
    products,
    shift_folding,
)
from distilroberta.quantize.attended import maker_of_values
from distilroberta.quantize.errors import QuantizationError
from distilroberta.quantize.integer_products import PerRow, Static
from distilroberta.quantize.origin import MOVES
from distilroberta.quantize.products import Product
from distilroberta.quantize.recipe import Feed, Kept, Options, Prepared, Recipe, Views
from distilroberta.quantize.smoothing import ChannelRange, smooth
from distilroberta.quantize.targets import TARGETS, Target
from distilroberta.quantize.tied_embedding import quantize_embedding

# How far beyond the calibrated range a smoothed value may go before it is clipped.
_ROOM = 1.1
# Of the codes around the zero point of 128.
_LARGEST = 127
# Values of which the negative ones are this much smaller than the positive ones are one-sided.
_ONE_SIDED = 1 / 8


@dataclass(frozen=True)
class _Plan:
    # How each encoder product is quantized, by its weight; of those that read what attention
    # averages, the weight that makes it; and the head's, in blocks.
    forms: dict[str, Static | PerRow]
    averages: dict[str, str]
    heads: tuple[str, ...]
    target: Target


def prepare(model: onnx.ModelProto, feeds: Iterable[Feed], options: Options) -> Prepared:
    """See `recipe.Prepare`."""
    found = products.find(model.graph)
    encoder = [one for one in found if one.in_encoder]
    averages = _averages(model.graph, encoder)
    plan = _Plan(
        forms=_forms(model, encoder, set(averages), feeds),
        averages=averages,
        heads=tuple(one.weight for one in found if one not in encoder),
        target=TARGETS[options.target],
    )
    scheme = (
        "U8 activations: a static scale over smoothed channels after layer norms and attention, a "
        f"scale for each row elsewhere; {_weights(plan.target)}; tied word embedding and head in "
        "blocks of 8 bits"
    )
    return Prepared(partial(_rewrite, plan), scheme, tuple(one.weight for one in found))


RECIPE = Recipe(prepare, onnxruntime=attention.ONNXRUNTIME, lowest_cosine=0.98)


def _weights(target: Target) -> str:
    kind = "S8" if target.signed else "U8"
    bounded = ", bounded against saturation" if target.bounded else ""
    return f"{kind} weights per channel{bounded}"


def _averages(graph: onnx.GraphProto, encoder: list[Product]) -> dict[str, str]:
    makers = {one.weight: maker_of_values(graph, one.values, encoder) for one in encoder}
    return {weight: maker.weight for weight, maker in makers.items() if maker is not None}


def _forms(
    model: onnx.ModelProto, encoder: list[Product], averages: set[str], feeds: Iterable[Feed]
) -> dict[str, Static | PerRow]:
    seen = {one.values: ChannelRange.nothing() for one in encoder}
    for values in observe.observe(model, list(seen), feeds):
        for name, array in values.items():
            seen[name].add(array)
    forms: dict[str, Static | PerRow] = {}
    for name, channels in seen.items():
        if not np.isfinite([channels.low, channels.high]).all():
            raise QuantizationError(
                f"the calibration texts give no range for {name}: there are none, or the model's "
                "values are not finite; give other texts"
            )
        readers = [one for one in encoder if one.values == name]
        is_even = _is_normalized(model.graph, name) or {one.weight for one in readers} <= averages
        form = _form(model.graph, is_even, channels, readers)
        forms |= {one.weight: form for one in readers}
    return forms


def _form(
    graph: onnx.GraphProto, is_even: bool, seen: ChannelRange, readers: list[Product]
) -> Static | PerRow:
    # `is_even`: the rows are about equally long.
    if is_even and all(one.bias is not None for one in readers):
        weights = [products.matrix(graph, one.weight) for one in readers]
        largest = np.max([np.abs(weight).max(axis=1) for weight in weights], axis=0)
        return Static(smooth(seen, largest, _LARGEST / _ROOM))
    low, high = float(-seen.low.min()), float(seen.high.max())
    return PerRow(lowest=max(low, 0) * _ROOM if low <= high * _ONE_SIDED else None)


def _is_normalized(graph: onnx.GraphProto, name: str) -> bool:
    makers = {output: node for node in graph.node for output in node.output}
    while name in makers and makers[name].op_type in MOVES:
        name = makers[name].input[0]
    return name in makers and makers[name].op_type == "LayerNormalization"


def _rewrite(plan: _Plan, model: onnx.ModelProto, views: Views, kept: Kept) -> None:
    graph = model.graph
    attention.fuse(model)
    # The rewriter of the products reads their biases, so it comes before the embedding's.
    by_weight = {one.weight: one for one in products.find(graph)}
    forms = {name: form for name, form in plan.forms.items() if name not in kept}
    for reader, maker in plan.averages.items():
        before, after = forms.get(maker), forms.get(reader)
        if isinstance(before, Static) and isinstance(after, Static):
            forms[maker] = replace(before, gives=after.smoothing)
            forms[reader] = replace(after, smoothed=True)
    integer_products.rewrite(model, by_weight, forms, plan.target)
    shift_folding.fold(graph)
    for name in plan.heads:
        if name not in kept:
            blocks.replace_product(graph, by_weight[name])
    quantize_embedding(model, views)
    graph_edit.drop_unused_weights(graph)
    graph_edit.uses_contrib_operators(model)
