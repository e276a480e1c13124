"""Twice as fast, or not, and why not.

"Twice" holds in a cell where all of the ratio's 95 % confidence interval is at 1.9 or above, that
is, twice to within 5 %. Where all of it is below, the claim fails; an interval with 1.9 in it
leaves it open. An interval with 1 in it shows no difference at all.

Why a ratio is below 2 is told from two sides, by operations and by time. With n layers in one model
and m in the other, which take d and b, what both have alike beside their layers takes
(m d - n b) / (m - n), here 2 d - b: of operations the language-model head; of time that, the
embedding, and what a call costs whatever it computes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from distilroberta.bench.claim.models import FILL_MASK
from distilroberta.bench.claim.terms import (
    BASE,
    CLAIMED,
    DISTIL,
    FASTER,
    MARGIN,
    NOTHING,
    SAME,
    SLOWER,
    TWICE,
    UNCLEAR,
)
from distilroberta.bench.harness import ratio_interval, tables
from distilroberta.bench.harness.interleave import Spread
from distilroberta.bench.harness.ratio_interval import Ratio
from distilroberta.bench.harness.suite import Comparison
from distilroberta.bench.harness.workload import Workload
from distilroberta.bench.limit.work import Work

# What both models have alike is worth a word from this share of DistilRoBERTa's operations on.
_NOTABLE = 0.05


@dataclass(frozen=True)
class Cell:
    """One length and batch: the ratio, what it says of the claim, and why the claim fails.

    `expected` is the ratio by operations alone, None where they can't be counted.
    """

    workload: str
    rows: int
    tokens: int
    ratio: Ratio | None
    verdict: str
    expected: float | None = None
    reason: str | None = None
    warning: str | None = None


@dataclass(frozen=True)
class Overall:
    """The geometric mean of all cells that were measured."""

    ratio: Ratio | None
    verdict: str
    reason: str | None


def of(ratio: Ratio) -> str:
    """Return what a ratio says of the claim."""
    if ratio.low >= CLAIMED * (1 - MARGIN):
        return TWICE
    if ratio.low <= 1 <= ratio.high:
        return SAME
    if ratio.high < 1:
        return SLOWER
    return FASTER if ratio.high < CLAIMED * (1 - MARGIN) else UNCLEAR


@dataclass(frozen=True)
class Subjects:
    """What is known of both models in one engine before they are timed, DistilRoBERTa's first.

    `layers` are their numbers of layers, `works` what they compute, by workload name; empty where
    it can't be counted.
    """

    task: str
    layers: tuple[int, int]
    works: Mapping[str, tuple[Work, Work]]


def cell(comparison: Comparison, workload: Workload, subjects: Subjects) -> Cell:
    """Judge one workload of a comparison, whose engines have the names of `claim_models`."""
    works = subjects.works.get(workload.name)
    shape = workload.name, len(workload.ids), len(workload.ids[0])
    distil, base = (comparison.rounds(name, workload.name) for name in (DISTIL, BASE))
    expected = None if works is None else _operations(works[1]) / _operations(works[0])
    if not distil or not base:
        return Cell(*shape, None, NOTHING, expected, _failure(comparison, workload.name))
    ratio = ratio_interval.of(base, distil)
    verdict = of(ratio)
    reason = None
    if verdict != TWICE:
        times = Spread.of(distil).median, Spread.of(base).median
        reason = _reason(times, works, subjects)
    return Cell(*shape, ratio, verdict, expected, reason, ratio_interval.warning(ratio))


def overall(comparison: Comparison, cells: Sequence[Cell]) -> Overall:
    """Judge all cells of a comparison together."""
    measured = [one for one in cells if one.ratio is not None]
    if not measured:
        return Overall(None, NOTHING, "no cell was measured")
    pairs = [
        (comparison.rounds(BASE, one.workload), comparison.rounds(DISTIL, one.workload))
        for one in measured
    ]
    ratio = ratio_interval.over_cells(pairs)
    failing = [one for one in measured if one.verdict != TWICE]
    reason = None
    if failing:
        worst = min(failing, key=lambda one: one.ratio.estimate if one.ratio else 0)
        reason = (
            f"{len(failing)} of {len(measured)} cells are not shown to be twice as fast; the "
            f"lowest is {worst.workload}: {worst.reason}"
        )
    return Overall(ratio, of(ratio), reason)


def _operations(work: Work) -> int:
    return work.int8_operations + work.float_operations


def _failure(comparison: Comparison, workload: str) -> str:
    for engine in comparison.engines:
        why = engine.refused or engine.failed.get(workload)
        if why:
            return f"{engine.spec.name}: {why}"
    return "no round was finished"


def _reason(times: tuple[float, float], works: tuple[Work, Work] | None, subjects: Subjects) -> str:
    said = []
    if works is not None:
        smaller, larger = map(_operations, works)
        share = _alike((smaller, larger), subjects.layers) / smaller
        if share >= _NOTABLE:
            is_mask = subjects.task == FILL_MASK
            what = "the language-model head" if is_mask else "what stands beside the layers"
            said.append(
                f"{what} is the same in both and {share:.0%} of DistilRoBERTa's operations, which "
                f"leaves {larger / smaller:.2f} times"
            )
    alike = _alike(times, subjects.layers)
    if alike > 0:
        said.append(
            f"about {tables.digits(alike)} of its {tables.digits(times[0])} ms go to what takes as "
            "long in both models"
        )
    return "; ".join(said) or "the interval is too wide to tell"


def _alike(amounts: tuple[float, float], layers: tuple[int, int]) -> float:
    # See the top of this file; nothing can be said of models with equally many layers.
    (small, large), (few, many) = amounts, layers
    return (many * small - few * large) / (many - few) if many > few else 0.0
