"""The results of `bench claim`: DistilRoBERTa against RoBERTa-base."""

from __future__ import annotations

import math
from dataclasses import dataclass

from distilroberta.bench.harness.ratio_interval import Ratio
from distilroberta.bench.report.comparison import Comparison, comparison, optional_ratio
from distilroberta.bench.report.fields import Fields


@dataclass(frozen=True)
class Cell:
    """The ratio at one length and batch size, None where it was not measured.

    `expected` is the ratio of the two models' operations.
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
        """The geometric mean of what operations let expect, None if that is not known of all."""
        known = [cell.expected for cell in self.cells if cell.expected is not None]
        if not known or len(known) < len(self.cells):
            return None
        return math.exp(sum(map(math.log, known)) / len(known))

    def cell(self, rows: int, tokens: int) -> Cell | None:
        """Return the cell of a batch size and length, None where there is none."""
        return next((one for one in self.cells if (one.rows, one.tokens) == (rows, tokens)), None)


@dataclass(frozen=True)
class ClaimResults:
    """All that one run of `bench claim` found."""

    claims: tuple[Claim, ...]


def claim_results(fields: Fields) -> ClaimResults:
    """Read the fields of `bench claim`.

    Raises:
        InputError: a field is missing or not what it must be.
    """
    return ClaimResults(tuple(map(_claim, fields.listed("comparisons"))))


def _claim(fields: Fields) -> Claim:
    overall = fields.inner("overall")
    return Claim(
        task=fields.text("task"),
        engine=fields.text("engine"),
        precision=fields.text("precision"),
        comparison=comparison(fields),
        cells=tuple(map(_cell, fields.listed("cells"))),
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
