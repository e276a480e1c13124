"""The tables of `latency`: what each variant takes, and how fast it answers which texts."""

from __future__ import annotations

from rich.table import Table

from distilroberta.bench.harness import command_line
from distilroberta.bench.harness.interleave import Spread
from distilroberta.bench.harness.suite import EngineResult
from distilroberta.bench.harness.tables import spread
from distilroberta.bench.harness.workload import Workload
from distilroberta.bench.latency.results import Measured

_NOTHING = "-"


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
    if measured.meter is not None:
        console.print(
            f"J/text: the energy of {measured.meter}, while nothing else was running here; what "
            "the whole package takes when idle is in it",
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
        starts = measured.starts.get(engine.spec.name)
        table.add_row(
            engine.spec.name,
            _megabytes(engine.spec.file_bytes),
            _NOTHING if engine.loaded is None else f"{engine.loaded.seconds:.2f}",
            spread(Spread.of(starts)) if starts else _NOTHING,
            _megabytes(engine.resident_bytes),
            _megabytes(engine.peak_bytes),
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
    joules = measured.joules.get((name, workload.name))
    return [
        f"{found.p50:.2f}",
        _milliseconds(found.p90),
        _milliseconds(found.p99),
        str(found.calls),
        f"{rounds.low:.2f}-{rounds.high:.2f}",
        f"{speed:.1f}",
        *([_NOTHING if joules is None else f"{joules:.3g}"] if measured.joules else []),
        _NOTHING
        if ratio is None or name == measured.reference
        else f"{ratio.estimate:.2f} ({ratio.low:.2f}-{ratio.high:.2f})",
    ]


def _milliseconds(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:.2f}"


def _megabytes(count: int | None) -> str:
    return _NOTHING if count is None else f"{count / 1e6:.1f}"
