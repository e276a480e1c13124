"""What the results come to, in the words of the benchmarks that measured them."""

from __future__ import annotations

from collections.abc import Sequence

from distilroberta.bench.report import wording
from distilroberta.bench.report.claim import ClaimResults
from distilroberta.bench.report.latency import LatencyResults
from distilroberta.bench.report.results import BENCHMARKS, Run

NO_VERDICT = "These results hold no verdict."


def verdict(runs: Sequence[Run]) -> str:
    """Return the verdict on the claim, and without one that of the next benchmark that has any.

    Benchmarks come in the order of `results.BENCHMARKS`. Several runs of one are told apart by
    precision, by artifact, or else by file.
    """
    for benchmark in BENCHMARKS:
        found = [run for run in runs if run.benchmark == benchmark and run.verdict]
        if found:
            return of_runs(found)
    return NO_VERDICT


def of_runs(runs: Sequence[Run]) -> str:
    """Return the verdicts of some runs of one benchmark as one sentence; empty without any."""
    found = [run for run in runs if run.verdict]
    labels = [_label(run) for run in found]
    if len(set(labels)) < len(labels):
        labels = [run.file for run in found]
    said = [_sentence(run) for run in found]
    if len(said) > 1:
        said = [f"{label}: {sentence}" for label, sentence in zip(labels, said, strict=True)]
    return f"{'; '.join(said)}." if said else ""


def _sentence(run: Run) -> str:
    return (run.verdict or "").rstrip(". ")


def _label(run: Run) -> str:
    if isinstance(run.found, ClaimResults) and run.found.claims:
        return wording.listed(list(dict.fromkeys(one.precision for one in run.found.claims)))
    if isinstance(run.found, LatencyResults):
        return run.found.artifact
    return run.file
