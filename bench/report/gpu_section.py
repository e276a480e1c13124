"""A GPU on the page: times by shape, and how many times as fast as INT8 on the CPU."""

from __future__ import annotations

from collections.abc import Sequence

from distilroberta.bench.report import comparison_parts
from distilroberta.bench.report.gpu import GpuResults
from distilroberta.bench.report.names import Names
from distilroberta.bench.report.parts import Section
from distilroberta.bench.report.results import Run

_LEAD = (
    "Token ids to logits on the host, in interleaved rounds of one process, on {device}. Speed is "
    "told in multiples of INT8 on the CPU."
)


def sections(runs: Sequence[Run], names: Names) -> list[Section]:
    """Return a section for each run of `bench gpu`."""
    found = [(run, run.found) for run in runs if isinstance(run.found, GpuResults)]
    devices = [results.device for _, results in found]
    return [
        _section(
            run, results, names, "" if devices.count(results.device) == 1 else f" ({run.file})"
        )
        for run, results in found
    ]


def _section(run: Run, results: GpuResults, names: Names, which: str) -> Section:
    title = f"{results.device}{which}"
    return Section(
        names.take("gpu"),
        f"On a GPU: {title}",
        _LEAD.format(device=results.device),
        [*comparison_parts.latency_by_length(title, results.comparison, names)],
        [
            comparison_parts.times_table(title, results.comparison),
            *comparison_parts.ratios(title, results.comparison, results.ratios),
        ],
        run.verdict,
    )
