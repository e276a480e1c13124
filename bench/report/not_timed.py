"""Engines that were refused, failed or were left out, each with the reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from distilroberta.bench.report.claim import ClaimResults
from distilroberta.bench.report.cold_start import ColdStartResults
from distilroberta.bench.report.comparison import Comparison
from distilroberta.bench.report.gpu import GpuResults
from distilroberta.bench.report.latency import LatencyResults
from distilroberta.bench.report.names import Names
from distilroberta.bench.report.parts import Section, Table
from distilroberta.bench.report.peers import PeersResults
from distilroberta.bench.report.results import Run

_LEAD = (
    "An engine whose answers differ from the reference is not timed: it does another job. One that "
    "failed at some inputs is timed on the others."
)


class NotTimed(NamedTuple):
    """An engine, where it was not timed, why, and the results file that says so."""

    engine: str
    where: str
    why: str
    file: str


def not_timed(runs: Sequence[Run]) -> list[NotTimed]:
    """Return all engines that were not timed, or not on everything."""
    return list(dict.fromkeys(one for run in runs for one in _of_run(run)))


def sections(found: Sequence[NotTimed], names: Names) -> list[Section]:
    """Return the section of engines that were not timed, none where all were."""
    if not found:
        return []
    columns = ("what", "where", "why", "said in")
    table = Table(
        "Refused, failed or left out", columns, tuple(map(tuple, found)), frozenset({1, 2, 3})
    )
    return [Section(names.take("not-timed"), "What was not measured", _LEAD, (), [table])]


def _of_run(run: Run) -> Iterable[NotTimed]:
    found = run.found
    if isinstance(found, ClaimResults):
        for claim in found.claims:
            where = f"{claim.task}, {claim.engine}, {claim.precision}"
            yield from _of_comparison(claim.comparison, where, run.file)
        yield from _everywhere(found.left_out, run.file)
    elif isinstance(found, PeersResults):
        for peers in found.comparisons:
            where = f"{peers.task}, {peers.level}"
            yield from _of_comparison(peers.comparison, where, run.file)
        yield from _everywhere(found.left_out, run.file)
    elif isinstance(found, LatencyResults):
        yield from _of_comparison(found.comparison, found.artifact, run.file)
        yield from _everywhere(found.left_out, run.file)
    elif isinstance(found, GpuResults):
        yield from _of_comparison(found.comparison, found.device, run.file)
    elif isinstance(found, ColdStartResults):
        yield from _everywhere(found.refused, run.file)


def _of_comparison(comparison: Comparison, where: str, file: str) -> Iterable[NotTimed]:
    for engine in comparison.engines:
        if engine.refused:
            yield NotTimed(engine.name, where, engine.refused, file)
        for workload, why in engine.failed.items():
            yield NotTimed(engine.name, f"{where}, {workload}", why, file)


def _everywhere(reasons: Mapping[str, str], file: str) -> Iterable[NotTimed]:
    for engine, why in reasons.items():
        yield NotTimed(engine, "everywhere", why, file)
