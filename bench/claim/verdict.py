"""Twice as fast, or not: of each cell, and of all of them.

"Twice" holds in a cell where all of the ratio's 95 % confidence interval is at 1.9 or above, that
is, twice to within 5 %. Where all of it is below, the claim fails; an interval with 1.9 in it
leaves it open, and so do too few rounds. An interval with 1 in it, all of it below 1.9, shows no
difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from distilroberta.bench.claim import reason
from distilroberta.bench.claim.reason import Subjects
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
from distilroberta.bench.harness import ratio_interval
from distilroberta.bench.harness.ratio_interval import ENOUGH_ROUNDS, Ratio
from distilroberta.bench.harness.suite import Comparison
from distilroberta.bench.harness.workload import Workload


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
    """The geometric mean of the cells that were measured, `measured` of `cells`."""

    ratio: Ratio | None
    verdict: str
    reason: str | None
    measured: int
    cells: int


def of(ratio: Ratio) -> str:
    """Return what a ratio says of the claim."""
    twice = CLAIMED * (1 - MARGIN)
    if ratio.rounds < ENOUGH_ROUNDS:
        return UNCLEAR
    if ratio.low >= twice:
        return TWICE
    if ratio.high >= twice:
        return UNCLEAR
    if ratio.high < 1:
        return SLOWER
    return SAME if ratio.low <= 1 else FASTER


def cell(comparison: Comparison, workload: Workload, subjects: Subjects) -> Cell:
    """Judge one workload of a comparison, whose engines have the names of `terms`."""
    works = subjects.works.get(workload.name)
    shape = workload.name, len(workload.ids), len(workload.ids[0])
    distil, base = (comparison.rounds(name, workload.name) for name in (DISTIL, BASE))
    expected = None if works is None else reason.expected(works)
    if not distil or not base:
        return Cell(*shape, None, NOTHING, expected, _failure(comparison, workload.name))
    ratio = ratio_interval.of(base, distil)
    verdict = of(ratio)
    why = None
    if verdict != TWICE:
        why = reason.of(distil, base, works, subjects) or _unexplained(ratio)
    return Cell(*shape, ratio, verdict, expected, why, ratio_interval.warning(ratio))


def overall(comparison: Comparison, cells: Sequence[Cell]) -> Overall:
    """Judge all cells of a comparison together."""
    measured = [one for one in cells if one.ratio is not None]
    if not measured:
        why = f"no cell was measured; {cells[0].workload}: {cells[0].reason}"
        return Overall(None, NOTHING, why, 0, len(cells))
    pairs = [
        (comparison.rounds(BASE, one.workload), comparison.rounds(DISTIL, one.workload))
        for one in measured
    ]
    ratio = ratio_interval.over_cells(pairs)
    why = "; ".join([*_missing(cells), *_failing(measured)])
    return Overall(ratio, of(ratio), why or None, len(measured), len(cells))


def _missing(cells: Sequence[Cell]) -> list[str]:
    missing = [one for one in cells if one.ratio is None]
    if not missing:
        return []
    first = missing[0]
    return [
        f"{len(missing)} of {len(cells)} cells were not measured, the first is {first.workload}: "
        f"{first.reason}"
    ]


def _failing(measured: Sequence[Cell]) -> list[str]:
    failing = [one for one in measured if one.verdict != TWICE]
    if not failing:
        return []
    worst = min(failing, key=lambda one: one.ratio.estimate if one.ratio else 0)
    return [
        f"{len(failing)} of {len(measured)} cells are not shown to be twice as fast; the lowest is "
        f"{worst.workload}: {worst.reason}"
    ]


def _failure(comparison: Comparison, workload: str) -> str:
    for engine in comparison.engines:
        why = engine.refused or engine.failed.get(workload)
        if why:
            return f"{engine.spec.name}: {why}"
    return "no round was finished"


def _unexplained(ratio: Ratio) -> str:
    if ratio.rounds < ENOUGH_ROUNDS:
        return "too few rounds to tell"
    if of(ratio) == UNCLEAR:
        return "the interval is too wide to tell"
    return "neither operations nor times tell why"
