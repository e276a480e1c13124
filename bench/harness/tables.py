"""A comparison as a table to read, and as JSON to keep."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.table import Table

from distilroberta.bench.harness import command_line
from distilroberta.bench.harness.interleave import Spread
from distilroberta.bench.harness.suite import Comparison, EngineResult

_NOTHING = "-"


def print_comparison(comparison: Comparison, title: str) -> None:
    """Print a table of sizes and times, then one of how many times as fast as what."""
    console = command_line.output()
    console.print(_times(comparison, title))
    if any(engine.spec.baselines for engine in comparison.engines):
        console.print(_speeds(comparison))
    for engine in comparison.engines:
        if engine.refused:
            console.print(f"{engine.spec.name} was not timed: {engine.refused}", markup=False)
        for workload, reason in engine.failed.items():
            console.print(f"{engine.spec.name} failed at {workload}: {reason}", markup=False)


def _times(comparison: Comparison, title: str) -> Table:
    table = Table("engine", title=title)
    names = [f"{workload.name}, ms" for workload in comparison.workloads]
    for name in ("file MB", "MB loaded", "MB after", "load s", "cosine", *names):
        table.add_column(name, justify="right")
    for engine in comparison.engines:
        rounds = [engine.rounds.get(workload.name) for workload in comparison.workloads]
        table.add_row(
            engine.spec.name,
            megabytes(engine.spec.file_bytes),
            megabytes(engine.loaded.resident_bytes if engine.loaded else None),
            megabytes(engine.resident_bytes),
            f"{engine.loaded.seconds:.2f}" if engine.loaded else _NOTHING,
            _NOTHING if engine.cosine is None else f"{engine.cosine:.4f}",
            *(spread(Spread.of(values)) if values else _NOTHING for values in rounds),
        )
    return table


def _speeds(comparison: Comparison) -> Table:
    table = Table("times as fast", "as", title="of the same rounds")
    for workload in comparison.workloads:
        table.add_column(workload.name, justify="right")
    for engine in comparison.engines:
        for baseline in engine.spec.baselines:
            speeds = (
                comparison.speed(engine.spec.name, baseline, workload.name)
                for workload in comparison.workloads
            )
            shown = (spread(speed) if speed else _NOTHING for speed in speeds)
            table.add_row(engine.spec.name, baseline, *shown)
    return table


def spread(values: Spread) -> str:
    """Return `median (25 % to 75 %)`, with three digits."""
    return f"{digits(values.median)} ({digits(values.low)}-{digits(values.high)})"


def quartiles(values: Spread) -> str:
    """Return `median (quartiles 25 % to 75 %)`, for a sentence, where none else says what it is."""
    return f"{digits(values.median)} (quartiles {digits(values.low)}-{digits(values.high)})"


def digits(value: float) -> str:
    """Return a number with about three digits."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def megabytes(count: int | None) -> str:
    """Return bytes as 10^6 of them, a dash where they are not known."""
    return _NOTHING if count is None else f"{count / 1e6:.1f}"


def measured(comparison: Comparison) -> dict[str, Any]:
    """Return the plan, the workloads and the engines, every round of them, for `json.dumps`.

    Times are milliseconds, sizes bytes.
    """
    return {
        "plan": asdict(comparison.plan),
        "workloads": [
            {
                "name": workload.name,
                "rows": len(workload.ids),
                "tokens": len(workload.ids[0]),
            }
            for workload in comparison.workloads
        ],
        "engines": [_engine(comparison, engine) for engine in comparison.engines],
    }


def _engine(comparison: Comparison, engine: EngineResult) -> dict[str, Any]:
    return {
        "name": engine.spec.name,
        "file_bytes": engine.spec.file_bytes,
        "load_seconds": engine.loaded.seconds if engine.loaded else None,
        "resident_bytes_loaded": engine.loaded.resident_bytes if engine.loaded else None,
        "resident_bytes_after": engine.resident_bytes,
        "peak_bytes": engine.peak_bytes,
        "cosine": engine.cosine,
        "refused": engine.refused,
        "failed": dict(engine.failed),
        "workloads": {
            workload: {
                "rounds_ms": list(rounds),
                "ms": asdict(Spread.of(rounds)),
                "times_as_fast_as": _speeds_of(comparison, engine, workload),
            }
            for workload, rounds in engine.rounds.items()
            if rounds
        },
    }


def _speeds_of(comparison: Comparison, engine: EngineResult, workload: str) -> dict[str, Any]:
    speeds = {
        baseline: comparison.speed(engine.spec.name, baseline, workload)
        for baseline in engine.spec.baselines
    }
    return {baseline: asdict(speed) for baseline, speed in speeds.items() if speed}
