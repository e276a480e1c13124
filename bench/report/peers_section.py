"""Other engines on the page: latency by length, ratios, size against quality against speed."""

from __future__ import annotations

from collections.abc import Sequence

from distilroberta.bench.report import comparison_parts, wording
from distilroberta.bench.report.names import Names
from distilroberta.bench.report.parts import Chart, Section, Table
from distilroberta.bench.report.peers import Peers, PeersResults
from distilroberta.bench.report.results import Run
from distilroberta.bench.report.trade_off_plot import Option

_LEAD = "Every engine ran in a process of its own, at its own best settings, in interleaved rounds."


def sections(runs: Sequence[Run], names: Names) -> list[Section]:
    """Return a section for each run of `bench peers`."""
    found = [(run, run.found) for run in runs if isinstance(run.found, PeersResults)]
    return [
        _section(run, results, names, "" if len(found) == 1 else f" ({run.file})")
        for run, results in found
    ]


def _section(run: Run, results: PeersResults, names: Names, which: str) -> Section:
    charts: list[Chart] = []
    tables: list[Table] = []
    for peers in results.comparisons:
        title = _title(peers)
        charts += comparison_parts.latency_by_length(title, peers.comparison, names)
        tables += [
            comparison_parts.times_table(title, peers.comparison),
            *comparison_parts.ratios(title, peers.comparison, peers.ratios),
        ]
    # What an engine weighs and answers is seen once for each; whole pipelines add only their own.
    for peers in results.comparisons:
        title = _title(peers)
        charts += _trade_off(title, peers, names)
        charts += _memory(title, peers, names)
        tables.append(_engines(title, peers))
    if results.schemes:
        rows = tuple(results.schemes.items())
        made = Table(
            "How the engines' models were made", ("engine", "made by"), rows, frozenset({1})
        )
        tables.append(made)
    name = names.take("peers")
    title = f"Beside other engines{which}"
    compared = [(_title(peers), peers.comparison) for peers in results.comparisons]
    lead = f"{_LEAD} {comparison_parts.answers(compared)}"
    return Section(name, title, lead, charts, tables, run.verdict)


def _title(peers: Peers) -> str:
    return f"{wording.capital(wording.task(peers.task))}, {wording.level(peers.level)}"


def _trade_off(title: str, peers: Peers, names: Names) -> list[Chart]:
    workload = comparison_parts.typical(peers.comparison)
    if workload is None:
        return []
    options = [
        Option(
            engine.name,
            engine.times[workload].spread.median,
            engine.file_bytes,
            engine.cosine,
            None,
            engine.ours,
        )
        for engine in peers.comparison.engines
        if engine.cosine is not None and engine.file_bytes and workload in engine.times
    ]
    return comparison_parts.trade_off(title, options, workload, names)


def _memory(title: str, peers: Peers, names: Names) -> list[Chart]:
    bars = [
        comparison_parts.memory_bar(
            engine.name, engine.resident_bytes, engine.peak_bytes, ours=engine.ours
        )
        for engine in peers.comparison.engines
        if engine.resident_bytes is not None and engine.times
    ]
    return comparison_parts.memory(title, bars, names)


def _engines(title: str, peers: Peers) -> Table:
    rows = [
        (
            engine.name,
            wording.megabytes(engine.file_bytes),
            wording.NOTHING if engine.cosine is None else wording.cosine(engine.cosine),
            wording.NOTHING if engine.load_seconds is None else wording.digits(engine.load_seconds),
            wording.megabytes(engine.resident_bytes),
            wording.megabytes(engine.peak_bytes),
        )
        for engine in peers.comparison.engines
        if engine.times
    ]
    return Table(
        f"{title}: size, agreement and memory",
        ("engine", "files, MB", "cosine", "load, s", "resident, MB", "peak, MB"),
        tuple(rows),
        card=True,
    )
