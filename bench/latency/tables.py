"""The tables of `latency`: what each variant takes, and how fast it answers which texts."""

from __future__ import annotations

from rich.table import Table

from distilroberta.bench.harness import command_line, ratio_interval
from distilroberta.bench.harness.interleave import Spread
from distilroberta.bench.harness.ratio_interval import Ratio
from distilroberta.bench.harness.suite import EngineResult
from distilroberta.bench.harness.tables import megabytes, spread
from distilroberta.bench.harness.workload import Workload
from distilroberta.bench.latency.results import Measured

_NOTHING = "-"
_UNSURE = "*"


def print_tables(measured: Measured, title: str) -> None:
    """Print both tables, then why what is not in them is not."""
    console = command_line.output()
    console.print(_sizes(measured))
    console.print(_times(measured, title))
    for engine in measured.comparison.engines:
        if engine.refused:
            console.print(
                f"{engine.spec.name} was not timed: {engine.refused}", markup=False, soft_wrap=True
            )
        for workload, reason in engine.failed.items():
            console.print(
                f"{engine.spec.name} failed at {workload}: {reason}", markup=False, soft_wrap=True
            )
    for name, reason in measured.left_out.items():
        console.print(f"left out: {name}: {reason}", markup=False, soft_wrap=True)
    for note in notes(measured):
        console.print(note, markup=False, soft_wrap=True)
    if measured.meter is not None:
        console.print(
            f"J/text: the energy of {measured.meter}, while no other engine was at work; what the "
            "whole package takes when idle is in it",
            markup=False,
            soft_wrap=True,
        )


def _sizes(measured: Measured) -> Table:
    table = Table("engine", title="what each takes, and what is kept of the answers")
    columns = ("file MB", "load s", "cold start s", "MB after", "MB at most")
    for name in (*columns, "same top", "KL", "cosine"):
        table.add_column(name, justify="right")
    for engine in measured.comparison.engines:
        quality = measured.quality[measured.setups[engine.spec.name].variant]
        load, start = measured.load_spread(engine.spec.name), measured.cold_start(engine.spec.name)
        table.add_row(
            engine.spec.name,
            megabytes(engine.spec.file_bytes),
            spread(load) if load else _seconds(measured.load_seconds(engine)),
            spread(start) if start else _NOTHING,
            megabytes(engine.resident_bytes),
            megabytes(engine.peak_bytes),
            _NOTHING if quality.same_top is None else f"{quality.same_top:.1%}",
            _NOTHING if quality.kl is None else f"{quality.kl:.2g}",
            f"{quality.cosine:.4f}",
        )
    return table


def _times(measured: Measured, title: str) -> Table:
    table = Table("texts", "engine", title=title)
    columns = ["p50 ms", "p90 ms", "p99 ms", "calls", "rounds, 25-75 %", "texts/s"]
    energy = ["J/text"] if measured.joules else []
    for name in (*columns, *energy, f"times as fast as {measured.reference}, 95 %"):
        table.add_column(name, justify="right")
    for workload in measured.comparison.workloads:
        table.add_section()
        for engine in measured.comparison.engines:
            cells = _cells(measured, engine, workload)
            if cells:
                table.add_row(workload.name, engine.spec.name, *cells)
    return table


def _cells(measured: Measured, engine: EngineResult, workload: Workload) -> list[str]:
    found = measured.calls(engine, workload)
    speed = measured.texts_per_second(engine, workload)
    if found is None or speed is None:
        return []
    name = engine.spec.name
    rounds = Spread.of(engine.rounds[workload.name])
    ratio = measured.ratio(name, measured.reference, workload)
    joules = measured.joules_spread(name, workload.name)
    return [
        f"{found.p50:.2f}",
        _milliseconds(found.p90),
        _milliseconds(found.p99),
        str(found.calls),
        f"{rounds.low:.2f}-{rounds.high:.2f}",
        f"{speed:.1f}",
        *([_joules(joules)] if measured.joules else []),
        _NOTHING if ratio is None or name == measured.reference else _times_as_fast(ratio),
    ]


def _times_as_fast(ratio: Ratio) -> str:
    mark = _UNSURE if ratio_interval.warning(ratio) else ""
    return f"{ratio}{mark}"


def notes(measured: Measured) -> list[str]:
    """Say what the marks in the tables mean, of those that are there: a dash, an asterisk."""
    calls = [
        found
        for engine in measured.comparison.engines
        for workload in measured.comparison.workloads
        if (found := measured.calls(engine, workload))
    ]
    timed = [engine for engine in measured.comparison.engines if engine.rounds]
    missing = {
        "p99 takes 100 calls and p90 takes 10, which more --rounds or --seconds give": any(
            found.p99 is None for found in calls
        ),
        f"{measured.reference} is not compared with itself": bool(calls),
        "no cold start was measured": any(
            measured.cold_start(engine.spec.name) is None for engine in timed
        ),
        "vectors have no top answer": any(
            one.same_top is None for one in measured.quality.values()
        ),
        "what was not timed has no memory, and what did not load no load time": any(
            engine.refused for engine in measured.comparison.engines
        ),
        "no energy was measured on a GPU, or of what is left out": bool(measured.joules)
        and any(
            measured.joules_spread(engine.spec.name, workload) is None
            for engine in timed
            for workload in engine.rounds
        ),
    }
    said = [reason for reason, there in missing.items() if there]
    lines = [f"{_NOTHING}: {'; '.join(said)}"] if said else []
    if any(
        ratio_interval.warning(ratio)
        for engine in timed
        for workload in measured.comparison.workloads
        if engine.spec.name != measured.reference
        and (ratio := measured.ratio(engine.spec.name, measured.reference, workload))
    ):
        lines.append(f"{_UNSURE}: too few rounds, or an interval wider than the difference from 1")
    return lines


def _joules(found: Spread | None) -> str:
    return _NOTHING if found is None else f"{found.median:.3g} ({found.low:.3g}-{found.high:.3g})"


def _seconds(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:.2f}"


def _milliseconds(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:.2f}"
