"""Which products lose most when they are quantized, and how many of them to leave as they are.

Each product is quantized alone, all others left in a higher precision, and the logits compared with
those of FP32. Then the worst are kept, one more at a time, until the divergence of the whole graph
is within a bound. Every number is measured on a graph as it would be shipped: what products lose
together is not the sum of what they lose alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table
from rich.text import Text

from distilroberta.quantize import recipe, run
from distilroberta.quantize.errors import QuantizationError
from distilroberta.quantize.quality.agreement import AgreementTally
from distilroberta.quantize.recipe import Feed, Kept, Prepared
from distilroberta.quantize.spread import spread
from distilroberta.quantize.variants import Graphs

# The FP32 logits of so many texts are held: 0.2 MB for each mask of DistilRoBERTa.
TEXTS = 32

# Is called with the graphs that are measured, and how many there are at most.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Point:
    """A graph with the worst `kept` products in a higher precision, measured.

    `kl` is the mean Kullback-Leibler divergence of a row's softmax in nats, FP32's distribution
    first; `same_top` the share of rows with FP32's highest logit. A row is the logits of a mask, of
    a text, of a token, or of the start or the end of an answer. `bytes` is the graph's size.
    """

    kept: int
    kl: float
    same_top: float
    bytes: int


@dataclass(frozen=True)
class Effect:
    """What quantizing one product alone changes.

    `kl` is what it adds to the divergence and `same_top` to the share of the same highest logit, as
    in `Point`; either may have the sign of a gain. `bytes` is what keeping it would cost.
    """

    weight: str
    kl: float
    same_top: float
    bytes: int


@dataclass(frozen=True)
class Sensitivity:
    """The effect of each product, in graph order.

    `baseline` is the graph in which all products are kept: what it loses is the embedding's part.
    `texts` and `rows` are the numbers of what was compared.
    """

    texts: int
    rows: int
    baseline: Point
    effects: tuple[Effect, ...]

    def worst(self) -> tuple[Effect, ...]:
        """Return the effects, the largest divergence first; equal ones by name."""
        return tuple(sorted(self.effects, key=lambda effect: (-effect.kl, effect.weight)))


@dataclass(frozen=True)
class Choice:
    """The products to keep so that a divergence of at most `bound` nats remains.

    `curve` are the graphs that were measured, by the number of products they keep: from none to
    the ones that are kept, and all.
    """

    bound: float
    kept: Kept
    curve: tuple[Point, ...]

    @property
    def chosen(self) -> Point:
        """The graph that keeps `kept`."""
        return next(point for point in self.curve if point.kept == len(self.kept))


def _silent(_: int, __: int) -> None:
    """Report progress to nobody."""


def measure(
    prepared: Prepared,
    graphs: Graphs,
    feeds: Iterable[Feed],
    *,
    progress: Progress = _silent,
) -> Sensitivity:
    """Quantize each product alone and compare the logits of the served graph with FP32's.

    Args:
        prepared: the recipe.
        graphs: the FP32 graphs, which are not changed.
        feeds: batches of one text each, so that none is padded; with masks for fill-mask. Of more
            than 32 some are taken, see `spread`.
        progress: called after each graph.

    Raises:
        QuantizationError: the recipe quantizes no products, there is nothing to compare, or the
            logits of a graph are not finite.
    """
    weights = prepared.weights
    if not weights:
        raise QuantizationError(
            f"this variant ({prepared.scheme}) quantizes no products, so there are none to keep"
        )
    reference = _Reference(prepared, graphs, feeds)
    baseline = reference.measure(frozenset(weights))
    progress(1, len(weights) + 1)
    effects = []
    for done, weight in enumerate(weights, 2):
        point = reference.measure(frozenset(weights) - {weight})
        effects.append(
            Effect(
                weight=weight,
                kl=point.kl - baseline.kl,
                same_top=point.same_top - baseline.same_top,
                bytes=baseline.bytes - point.bytes,
            )
        )
        progress(done, len(weights) + 1)
    return Sensitivity(reference.texts, reference.rows, baseline, tuple(effects))


def keep(
    sensitivity: Sensitivity,
    prepared: Prepared,
    graphs: Graphs,
    feeds: Iterable[Feed],
    bound: float,
    *,
    progress: Progress = _silent,
) -> Choice:
    """Keep the fewest of the worst products with which the divergence is within a bound.

    They are kept one more at a time, each graph measured: one product more may also make it worse,
    which a search in halves would miss. A bound that can't be met is known after the first graph.

    Args:
        sensitivity: what `measure` returned for this recipe.
        prepared: the recipe.
        graphs: the FP32 graphs, which are not changed.
        feeds: as for `measure`; the same or others.
        bound: the largest mean divergence from FP32, in nats.
        progress: called after each graph.

    Raises:
        QuantizationError: the divergence is larger with all products kept, there is nothing to
            compare, or the logits of a graph are not finite.
    """
    order = [effect.weight for effect in sensitivity.worst()]
    reference = _Reference(prepared, graphs, feeds)
    everything = reference.measure(frozenset(order))
    progress(1, len(order) + 1)
    if not everything.kl <= bound:
        raise QuantizationError(
            f"no choice of products meets a KL of {bound:g} nats: it is {everything.kl:.3g} with "
            f"all {len(order)} kept in a higher precision; allow more, or choose a larger variant"
        )
    curve: list[Point] = []
    for count in range(len(order)):
        curve.append(reference.measure(frozenset(order[:count])))
        progress(count + 2, len(order) + 1)
        if curve[-1].kl <= bound:
            break
    curve.append(everything)
    chosen = next(point for point in curve if point.kl <= bound)
    return Choice(bound, frozenset(order[: chosen.kept]), tuple(curve))


def table(sensitivity: Sensitivity, choice: Choice | None = None) -> Table:
    """Lay out a row for each product, the worst first, and below them what the choice gives."""
    alone = sensitivity.baseline
    laid_out = Table(
        "quantized alone",
        title=Text(
            f"{sensitivity.texts} of the calibration texts, {sensitivity.rows} rows, against FP32; "
            f"none quantized: KL {alone.kl:.3g} nats, same top {alone.same_top:.2%}"
        ),
        caption=Text(_caption(choice)) if choice else None,
    )
    for name in ("adds KL, nats", "adds same top, points", "MB to keep", "kept"):
        laid_out.add_column(name, justify="right")
    for effect in sensitivity.worst():
        laid_out.add_row(
            Text(effect.weight),
            f"{effect.kl:+.3g}",
            f"{100 * effect.same_top:+.2f}",
            f"{effect.bytes / 1e6:.2f}",
            "yes" if choice and effect.weight in choice.kept else "",
        )
    return laid_out


def _caption(choice: Choice) -> str:
    none, chosen = choice.curve[0], choice.chosen
    return (
        f"all quantized: KL {none.kl:.3g}, same top {none.same_top:.2%}; the worst {chosen.kept} "
        f"kept: KL {chosen.kl:.3g} (bound {choice.bound:g}), same top {chosen.same_top:.2%}, "
        f"{(chosen.bytes - none.bytes) / 1e6:.2f} MB more"
    )


class _Reference:
    """The FP32 logits of some texts, and how near a recipe comes to them."""

    def __init__(self, prepared: Prepared, graphs: Graphs, feeds: Iterable[Feed]) -> None:
        self._prepared = prepared
        self._model = graphs.standard if graphs.served is None else graphs.served
        if self._model.graph.output[0].name == "last_hidden_state":
            raise QuantizationError(
                "hidden states are no distribution over answers, so there is no KL to bound: leave "
                "out --sensitivity"
            )
        self._feeds = spread(feeds, TEXTS)
        self._logits = list(_logits(run.session(self._model), self._feeds))
        self.texts = len(self._feeds)
        self.rows = sum(map(len, self._logits))
        if not self.rows:
            raise QuantizationError(
                "there is nothing to compare: no text, or none with a mask where masks are filled"
            )
        if self._logits[0].shape[1] == 1:
            raise QuantizationError(
                "a regression has no distribution over answers, so there is no KL to bound: leave "
                "out --sensitivity"
            )

    def measure(self, kept: Kept) -> Point:
        """Make the graph that keeps some products, run it, and compare its logits."""
        # One copy of the weights, as in the file that holds them.
        model = recipe.apply(self._prepared, self._model, "one", kept)
        size = model.ByteSize()
        session = run.session(model)
        del model  # the session has its weights
        tally = AgreementTally()
        for found, expected in zip(_logits(session, self._feeds), self._logits, strict=True):
            tally.add(found, expected)
        agreement = tally.result()
        assert agreement.kl is not None
        assert agreement.same_top is not None
        if not math.isfinite(agreement.kl):
            raise QuantizationError(
                f"the logits are not finite with {self._quantized(kept)} quantized: leave this "
                "variant out"
            )
        return Point(len(kept), agreement.kl, agreement.same_top, size)

    def _quantized(self, kept: Kept) -> str:
        names = [name for name in self._prepared.weights if name not in kept]
        return names[0] if len(names) == 1 else f"{len(names)} products"


def _logits(session: Any, feeds: Iterable[Feed]) -> Iterator[NDArray[np.float32]]:
    # -> (rows, classes) for each text. The starts and the ends of answers are rows alike.
    for feed in feeds:
        outputs = run.outputs(session, feed)
        yield np.concatenate([output.reshape(-1, output.shape[-1]) for output in outputs])
