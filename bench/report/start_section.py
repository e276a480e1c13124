"""Cold start on the page: from a fresh process to its first answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from distilroberta.bench.harness.interleave import Spread
from distilroberta.bench.report import row_plot, verdict, wording
from distilroberta.bench.report.cold_start import ColdStartResults
from distilroberta.bench.report.comparison import is_ours
from distilroberta.bench.report.latency import LatencyResults
from distilroberta.bench.report.names import Names
from distilroberta.bench.report.parts import Chart, Section, Table
from distilroberta.bench.report.results import Run
from distilroberta.bench.report.row_plot import Bar

_LEAD = "Seconds of a fresh process to its first answer: what a restart or a new replica costs."


@dataclass(frozen=True)
class _Start:
    name: str
    seconds: Spread
    file: str
    ours: bool


def sections(runs: Sequence[Run], names: Names) -> list[Section]:
    """Return the section of all cold starts, none where none was measured."""
    starts = _starts(runs)
    if not starts:
        return []
    bars = [
        Bar(
            start.name,
            start.seconds.median,
            f"{wording.digits(start.seconds.median)} s",
            start.ours,
            start.seconds.low,
            start.seconds.high,
        )
        for start in starts
    ]
    said = "; ".join(f"{bar.name}: {bar.said}" for bar in bars)
    chart = Chart(
        names.take("cold start"),
        "Cold start",
        "Bar: median of the processes; line in it: the quartiles.",
        f"Seconds to the first answer. {said}.",
        partial(row_plot.draw_bars, bars, "seconds"),
    )
    table = Table(
        "Cold start: seconds, median (quartiles)",
        ("what", "seconds", "measured in"),
        tuple((start.name, wording.spread(start.seconds), start.file) for start in starts),
        words=frozenset({2}),
        card=True,
    )
    tables = [table, *_stages(runs)]
    said = verdict.of_runs([run for run in runs if isinstance(run.found, ColdStartResults)])
    return [Section(names.take("cold-start"), "Cold start", _LEAD, [chart], tables, said)]


def _starts(runs: Sequence[Run]) -> list[_Start]:
    found = []
    for run in runs:
        if isinstance(run.found, ColdStartResults):
            found += [
                _Start(name, one.seconds, run.file, is_ours(name))
                for name, one in run.found.engines.items()
            ]
        elif isinstance(run.found, LatencyResults):
            found += [
                _Start(
                    f"{run.found.artifact}, {variant.engine}",
                    variant.cold_start,
                    run.file,
                    ours=True,
                )
                for variant in run.found.variants
                if variant.cold_start is not None
            ]
    return found


def _stages(runs: Sequence[Run]) -> list[Table]:
    tables = []
    for run in runs:
        if isinstance(run.found, ColdStartResults):
            engines = run.found.engines
            stages = list(dict.fromkeys(stage for one in engines.values() for stage in one.stages))
            rows = [
                (
                    name,
                    *(
                        wording.digits(one.stages[stage])
                        if stage in one.stages
                        else wording.NOTHING
                        for stage in stages
                    ),
                )
                for name, one in engines.items()
            ]
            caption = f"Stages of a cold start in seconds, medians ({run.file})"
            tables.append(Table(caption, ("engine", *stages), tuple(rows)))
    return tables
