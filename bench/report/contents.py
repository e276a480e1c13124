"""A whole report, before it is a page or a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from distilroberta.bench.report import (
    claim_section,
    gpu_section,
    latency_section,
    not_timed,
    notes,
    peers_section,
    start_section,
)
from distilroberta.bench.report.names import Names
from distilroberta.bench.report.parts import Chart, RatioMap, Section
from distilroberta.bench.report.results import Run
from distilroberta.bench.report.verdict import verdict


@dataclass(frozen=True)
class Report:
    """The verdict, what to know before believing it, the sections, and the runs behind them."""

    verdict: str
    notes: tuple[str, ...]
    sections: tuple[Section, ...]
    runs: tuple[Run, ...]

    @property
    def charts(self) -> list[Chart | RatioMap]:
        """All figures."""
        return [chart for section in self.sections for chart in section.charts]


def make(runs: Sequence[Run]) -> Report:
    """Make a report of runs, which are not changed and stay in the order given."""
    names = Names()
    missing = not_timed.not_timed(runs)
    sections = [
        *claim_section.sections(runs, names),
        *peers_section.sections(runs, names),
        *latency_section.sections(runs, names),
        *gpu_section.sections(runs, names),
        *start_section.sections(runs, names),
        *not_timed.sections(missing, names),
    ]
    said = tuple(notes.notes(runs, missing))
    return Report(verdict(runs), said, tuple(sections), tuple(runs))
