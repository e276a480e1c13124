"""What `claim` found, pair by pair, and how it is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from distilroberta.bench.claim import sentence, verdict
from distilroberta.bench.claim.reason import Subjects
from distilroberta.bench.claim.verdict import Cell, Overall
from distilroberta.bench.harness import ratio_interval, tables
from distilroberta.bench.harness.suite import Comparison


@dataclass(frozen=True)
class Pair:
    """Both models in one engine, as they were measured.

    `checked` names the workloads on which their answers were compared with PyTorch's.
    """

    task: str
    engine: str
    precision: str
    comparison: Comparison
    checked: tuple[str, ...]
    cells: tuple[Cell, ...]
    overall: Overall


@dataclass(frozen=True)
class Found:
    """What was measured so far, and why what could not be was left out, by task and engine."""

    pairs: Sequence[Pair]
    left_out: Mapping[str, str]


def judge(
    engine: str,
    precision: str,
    comparison: Comparison,
    checked: Sequence[str],
    subjects: Subjects,
) -> Pair:
    """Judge what was measured so far."""
    cells = tuple(verdict.cell(comparison, one, subjects) for one in comparison.workloads)
    whole = verdict.overall(comparison, cells)
    return Pair(subjects.task, engine, precision, comparison, tuple(checked), cells, whole)


def spoken(pairs: Sequence[Pair]) -> str:
    """Return the verdict over all pairs, in one sentence."""
    return sentence.of(
        [(pair.task, f"{pair.engine}, {pair.precision}", pair.overall) for pair in pairs]
    )


def warnings(found: Found) -> list[str]:
    """Return what disturbed each pair, and whether its rounds are too few or too far apart."""
    return [
        f"{pair.task}, {pair.engine}: {said}"
        for pair in found.pairs
        for said in (*pair.comparison.warnings, overall_warning(pair))
        if said
    ]


def overall_warning(pair: Pair) -> str | None:
    """Return why the ratio over all cells is to be taken with care; None where it is not."""
    return None if pair.overall.ratio is None else ratio_interval.warning(pair.overall.ratio)


def to_json(found: Found) -> dict[str, Any]:
    """Return the verdict and all pairs, as what `json.dumps` takes."""
    return {
        "verdict": spoken(found.pairs),
        "left_out": dict(found.left_out),
        "comparisons": [
            {
                "task": pair.task,
                "engine": pair.engine,
                "precision": pair.precision,
                **tables.measured(pair.comparison),
                "checked": list(pair.checked),
                "cells": [asdict(cell) for cell in pair.cells],
                "overall": asdict(pair.overall),
            }
            for pair in found.pairs
        ],
    }
