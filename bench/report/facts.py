"""On what, with what and how the results were measured: once, where all runs agree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from distilroberta.bench.report import wording
from distilroberta.bench.report.results import Run

_MINUTE = 60


def facts(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """Return names and values of what a reader asks first, with every value that occurs."""
    values = {
        "machine": [machine(run) for run in runs],
        "threads": [str(run.threads) for run in runs if run.threads is not None],
        "weights": [run.weights for run in runs if run.weights],
        "software": [_software(run) for run in runs],
        "revision": [run.revision for run in runs if run.revision],
        "measured": [run.started[:10] for run in runs],
    }
    return [(name, " · ".join(dict.fromkeys(found))) for name, found in values.items() if found]


def machine(run: Run) -> str:
    """Return the processor, and how much of it the run might use."""
    cpus = f"{run.machine.cpus} CPUs" if run.machine.cpus != 1 else "1 CPU"
    return f"{run.machine.cpu}, {cpus}, {run.machine.system}"


def _software(run: Run) -> str:
    version = run.machine.packages.get("onnxruntime")
    return f"onnxruntime {version}, {run.machine.python}" if version else run.machine.python


def of_run(run: Run) -> list[tuple[str, str]]:
    """Return names and values of all that is known of one run."""
    return list(_of_run(run))


def _of_run(run: Run) -> Iterable[tuple[str, str]]:
    if run.verdict:
        yield "verdict", run.verdict
    yield "started", f"{run.started}, took {_duration(run.seconds)}"
    yield "complete", "yes" if run.complete else "no, interrupted"
    yield "machine", machine(run)
    if run.machine.load is not None:
        yield "load before", f"{run.machine.load:.1f}"
    if run.threads is not None:
        yield "threads", str(run.threads)
    if run.weights:
        yield "weights", run.weights
    if run.revision:
        yield "revision", run.revision
    packages = ", ".join(f"{name} {found}" for name, found in run.machine.packages.items())
    yield "versions", f"{run.machine.python}, {packages}" if packages else run.machine.python


def _duration(seconds: float) -> str:
    if seconds < _MINUTE:
        return f"{wording.digits(seconds)} s"
    return f"{wording.digits(seconds / _MINUTE)} min"
