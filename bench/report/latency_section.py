"""The variants of one artifact on the page: which one to deploy."""

from __future__ import annotations

from collections.abc import Sequence

from distilroberta.bench.report import comparison_parts, wording
from distilroberta.bench.report.latency import LatencyResults, Variant
from distilroberta.bench.report.names import Names
from distilroberta.bench.report.parts import Chart, Section, Table
from distilroberta.bench.report.results import Run
from distilroberta.bench.report.trade_off_plot import Option

_DIGEST_DIGITS = 12


def sections(runs: Sequence[Run], names: Names) -> list[Section]:
    """Return a section for each run of `bench latency`."""
    found = [(run, run.found) for run in runs if isinstance(run.found, LatencyResults)]
    artifacts = [results.artifact for _, results in found]
    return [
        _section(
            run, results, names, "" if artifacts.count(results.artifact) == 1 else f" ({run.file})"
        )
        for run, results in found
    ]


def _section(run: Run, results: LatencyResults, names: Names, which: str) -> Section:
    title = f"{results.artifact}, {wording.task(results.task)}, {wording.level(results.level)}"
    charts = [
        *comparison_parts.latency_by_length(title, results.comparison, names),
        *_trade_off(title, results, names),
        *_memory(title, results, names),
    ]
    tables = [
        _variants(title, results),
        *comparison_parts.ratios(title, results.comparison, results.ratios),
        comparison_parts.times_table(title, results.comparison),
        _percentiles(title, results),
    ]
    lead = (
        f"The variants of the artifact {results.artifact} for {results.task}, manifest "
        f"{results.digest[:_DIGEST_DIGITS]}, in interleaved rounds; agreement is with FP32."
    )
    if results.gpu:
        lead += f" GPU: {results.gpu}."
    if results.energy:
        lead += f" Energy: {results.energy}."
    heading = f"Which variant of {results.artifact}?{which}"
    return Section(names.take("latency"), heading, lead, charts, tables, run.verdict)


def _trade_off(title: str, results: LatencyResults, names: Names) -> list[Chart]:
    workload = comparison_parts.typical(results.comparison)
    if workload is None:
        return []
    options = [
        Option(
            variant.engine,
            variant.workloads[workload].p50,
            variant.file_bytes,
            variant.cosine,
            variant.same_top,
            ours=True,
        )
        for variant in results.variants
        if variant.cosine is not None and variant.file_bytes and workload in variant.workloads
    ]
    return comparison_parts.trade_off(title, options, workload, names)


def _memory(title: str, results: LatencyResults, names: Names) -> list[Chart]:
    bars = [
        comparison_parts.memory_bar(
            variant.engine, variant.resident_bytes, variant.peak_bytes, ours=True
        )
        for variant in results.variants
        if variant.resident_bytes is not None
    ]
    return comparison_parts.memory(title, bars, names)


def _variants(title: str, results: LatencyResults) -> Table:
    return Table(
        f"{title}: size, quality, start and memory",
        (
            "variant",
            "files, MB",
            "same top",
            "KL, nats",
            "cosine",
            "load, s",
            "cold start, s",
            "resident, MB",
            "peak, MB",
        ),
        tuple(map(_variant, results.variants)),
        card=True,
    )


def _variant(variant: Variant) -> tuple[str, ...]:
    return (
        variant.engine,
        wording.megabytes(variant.file_bytes),
        wording.NOTHING if variant.same_top is None else wording.percent(variant.same_top),
        _digits(variant.kl),
        wording.NOTHING if variant.cosine is None else wording.cosine(variant.cosine),
        _digits(variant.load_seconds),
        wording.NOTHING if variant.cold_start is None else wording.spread(variant.cold_start),
        wording.megabytes(variant.resident_bytes),
        wording.megabytes(variant.peak_bytes),
    )


def _percentiles(title: str, results: LatencyResults) -> Table:
    rows = [
        (
            f"{variant.engine}, {workload}",
            *(_digits(value) for value in (found.p50, found.p90, found.p99)),
            str(found.calls),
            wording.digits(found.texts_per_second),
            *([_digits(found.joules_per_text)] if results.energy else []),
        )
        for variant in results.variants
        for workload, found in variant.workloads.items()
    ]
    energy = ["J per text"] if results.energy else []
    return Table(
        f"{title}: milliseconds of single calls, and throughput",
        ("variant and input", "p50", "p90", "p99", "calls", "texts per second", *energy),
        tuple(rows),
        card=True,
    )


def _digits(value: float | None) -> str:
    return wording.NOTHING if value is None else wording.digits(value)
