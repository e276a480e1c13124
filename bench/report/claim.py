"""The results of `bench claim`: DistilRoBERTa against RoBERTa-base."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from distilroberta.bench.harness.ratio_interval import Ratio
from distilroberta.bench.report.comparison import Comparison, comparison, optional_ratio
from distilroberta.bench.report.fields import Fields


@dataclass(frozen=True)
class Cell:
    """The ratio at one length and batch size, None where it was not measured.

    `expected` is the ratio of the two models' operations, `reason` says why the claim fails, or why
    nothing was measured.
    """

    workload: str
    rows: int
    tokens: int
    ratio: Ratio | None
    verdict: str
    expected: float | None
    reason: str | None
    warning: str | None


@dataclass(frozen=True)
class Claim:
    """Both models on one task, by one engine in one precision.

    `ratio`, `verdict` and `reason` are those over all cells: the geometric mean.
    """

    task: str
    engine: str
    precision: str
    comparison: Comparison
    cells: tuple[Cell, ...]
    ratio: Ratio | None
    verdict: str
    reason: str | None

    @property
    def expected(self) -> float | None:
        """The geometric mean of what operations let expect, None if that is not known of all.

        It is of the cells that were measured, as `ratio` is.
        """
        measured = [cell for cell in self.cells if cell.ratio is not None]
        known = [cell.expected for cell in measured if cell.expected is not None]
        if not known or len(known) < len(measured):
            return None
        return math.exp(sum(map(math.log, known)) / len(known))

    def cell(self, rows: int, tokens: int) -> Cell | None:
        """Return the cell of a batch size and length, None where there is none."""
        return next((one for one in self.cells if (one.rows, one.tokens) == (rows, tokens)), None)


@dataclass(frozen=True)
class ClaimResults:
    """All that one run of `bench claim` found; `left_out` says why a task and engine is missing."""

    claims: tuple[Claim, ...]
    left_out: Mapping[str, str]


def claim_results(fields: Fields) -> ClaimResults:
    """Read the fields of `bench claim`.

    Raises:
        InputError: a field is missing or not what it must be.
    """
    return ClaimResults(
        tuple(map(_claim, fields.listed("comparisons"))), fields.named_texts("left_out")
    )


def _claim(fields: Fields) -> Claim:
    overall = fields.inner("overall")
    compared = comparison(fields)
    return Claim(
        task=fields.text("task"),
        engine=fields.text("engine"),
        precision=fields.text("precision"),
        comparison=compared,
        cells=tuple(_explained(_cell(one), compared) for one in fields.listed("cells")),
        ratio=optional_ratio(overall, "ratio"),
        verdict=overall.text("verdict"),
        reason=overall.optional_text("reason"),
    )


def _cell(fields: Fields) -> Cell:
    return Cell(
        workload=fields.text("workload"),
        rows=fields.whole("rows"),
        tokens=fields.whole("tokens"),
        ratio=optional_ratio(fields, "ratio"),
        verdict=fields.text("verdict"),
        expected=None if fields.missing("expected") else fields.positive("expected"),
        reason=fields.optional_text("reason"),
        warning=fields.optional_text("warning"),
    )


def _explained(cell: Cell, compared: Comparison) -> Cell:
    # What was not measured has its reason at the engine, if nowhere else.
    if cell.ratio is not None or cell.reason:
        return cell
    for engine in compared.engines:
        why = engine.refused or engine.failed.get(cell.workload)
        if why:
            return replace(cell, reason=f"{engine.name}: {why}")
    return cell
