"""Results files: what every benchmark writes, and what each of them found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from distilroberta.bench.harness.machine import Machine
from distilroberta.bench.harness.results_file import SCHEMA
from distilroberta.bench.report import fields
from distilroberta.bench.report.claim import ClaimResults, claim_results
from distilroberta.bench.report.cold_start import ColdStartResults, cold_start_results
from distilroberta.bench.report.fields import Fields
from distilroberta.bench.report.gpu import GpuResults, gpu_results
from distilroberta.bench.report.latency import LatencyResults, latency_results
from distilroberta.bench.report.peers import PeersResults, peers_results
from distilroberta.runtime.errors import InputError

Found = ClaimResults | PeersResults | LatencyResults | ColdStartResults | GpuResults

_DRAWN: Mapping[str, Callable[[Fields], Found]] = {
    "claim": claim_results,
    "peers": peers_results,
    "latency": latency_results,
    "cold-start": cold_start_results,
    "gpu": gpu_results,
}
# Their tables are on the terminal; a report says that and how they were run.
_NAMED = ("overhead", "memory", "threads", "throughput", "import", "quantizing", "fill-mask")
BENCHMARKS = (*_DRAWN, *_NAMED)


@dataclass(frozen=True)
class Run:
    """One results file: how it was measured, on what, and what was found.

    `file` is what the report calls it. `complete` is False where the run was interrupted or
    failed. `started` is a time in UTC, `seconds` how long it took. `revision` is that of the
    project's clone, None for an installed release. `found` is None for a benchmark that a report
    names but does not draw. `verdict` is the benchmark's own, in one sentence.
    """

    file: str
    benchmark: str
    complete: bool
    command: str
    started: str
    seconds: float
    machine: Machine
    revision: str | None
    threads: int | None
    weights: str | None
    warnings: tuple[str, ...]
    found: Found | None
    verdict: str | None


def read(path: Path) -> Run:
    """Read and check one results file.

    Raises:
        InputError: it is not JSON, no results file, of another schema or benchmark, or a field of
            it is missing or not what it must be.
    """
    root = fields.read(path)
    if root.missing("schema") or root.missing("benchmark"):
        raise InputError(
            f"{path} is no results file, it has no 'schema' and 'benchmark'; write one with "
            "--json of a `distilroberta bench` command"
        )
    schema = root.whole("schema")
    if schema != SCHEMA:
        raise InputError(
            f"{path} has schema {schema}; this release reads {SCHEMA}. Update distilroberta-onnx, "
            "or measure again"
        )
    benchmark = root.text("benchmark")
    if benchmark not in BENCHMARKS:
        raise root.wrong("benchmark", f"one of {', '.join(BENCHMARKS)}")
    return Run(
        file=path.name,
        benchmark=benchmark,
        complete=root.flag("complete"),
        command=root.text("command"),
        started=root.text("started"),
        seconds=root.number("seconds"),
        machine=_machine(root.inner("machine")),
        revision=root.optional_text("revision"),
        threads=root.optional_whole("threads"),
        weights=root.optional_text("weights"),
        warnings=root.texts("warnings"),
        found=_DRAWN[benchmark](root) if benchmark in _DRAWN else None,
        verdict=root.optional_text("verdict"),
    )


def read_all(paths: Sequence[Path]) -> list[Run]:
    """Read results files, each once. Those of one name are called by their folder's name too.

    Raises:
        InputError: see `read`; or two files have one name, and their folders have.
    """
    unique = list(dict.fromkeys(path.resolve() for path in paths))
    names = [path.name for path in unique]
    called = [
        path.name if names.count(path.name) == 1 else f"{path.parent.name}/{path.name}"
        for path in unique
    ]
    for name in called:
        if called.count(name) > 1:
            raise InputError(f"two results files are called {name}; give one another name")
    return [replace(read(path), file=name) for path, name in zip(unique, called, strict=True)]


def _machine(root: Fields) -> Machine:
    return Machine(
        cpu=root.text("cpu"),
        cpus=root.whole("cpus"),
        system=root.text("system"),
        python=root.text("python"),
        load=root.optional_number("load"),
        packages=root.named_texts("packages"),
    )
