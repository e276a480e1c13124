"""One comparison of engines: load each in its process, check the answers, time them interleaved."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from distilroberta.bench.errors import WorkerError
from distilroberta.bench.harness import answers, interleave, processes
from distilroberta.bench.harness.answers import Answers
from distilroberta.bench.harness.busy import Watch
from distilroberta.bench.harness.interleave import Interleaved, Plan, Samples, Spread
from distilroberta.bench.harness.processes import Worker
from distilroberta.bench.harness.worker import Loaded
from distilroberta.bench.harness.workload import Workload
from distilroberta.runtime.execution.cpu_limit import usable_cpus


@dataclass(frozen=True)
class EngineSpec:
    """An engine to compare: the class a worker loads, and what it is compared with.

    `engine` is `module:class`, `file_bytes` the sum of the model files it reads. `baselines` name
    the engines its speed is told in multiples of; only like is compared with like (bare sessions
    among themselves, whole pipelines among themselves). `interpreter` is the Python of another
    environment, where the engine is not in this one.
    """

    name: str
    engine: str
    arguments: Mapping[str, Any]
    file_bytes: int
    baselines: tuple[str, ...] = ()
    interpreter: Path | None = None


@dataclass(frozen=True)
class EngineResult:
    """What was measured of an engine.

    `loaded` is how long it took to load and the memory after that, None where it could not be;
    `resident_bytes` the memory after what was measured, `peak_bytes` the most there was. `cosine`
    is the lowest one to the right logits, `refused` says why the engine was not timed; one of the
    two is None. `rounds` are milliseconds by workload name, the median call of each round, `calls`
    those of every call; `failed` says of further workloads why they could not be done.
    """

    spec: EngineSpec
    loaded: Loaded | None
    resident_bytes: int | None
    cosine: float | None
    refused: str | None
    rounds: Mapping[str, Sequence[float]]
    peak_bytes: int | None = None
    failed: Mapping[str, str] = field(default_factory=dict)
    calls: Mapping[str, Sequence[Sequence[float]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """All engines of one run, in the order they were given.

    `limits` are the milliseconds of the engines that only show what the machine can do, in the
    same rounds, by engine and workload name. `warnings` say what disturbed the run.
    """

    workloads: tuple[Workload, ...]
    plan: Plan
    engines: tuple[EngineResult, ...]
    limits: Samples = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def rounds(self, engine: str, workload: str) -> Sequence[float]:
        """Return the milliseconds of each round; nothing where the engine was not timed."""
        found = next(one for one in self.engines if one.spec.name == engine)
        return found.rounds.get(workload, [])

    def speed(self, engine: str, baseline: str, workload: str) -> Spread | None:
        """Return how many times as fast one engine is as another, over paired rounds.

        None where one of the two was not timed.
        """
        fast, slow = self.rounds(engine, workload), self.rounds(baseline, workload)
        return interleave.ratio(slow, fast) if fast and slow else None


def compare(
    specs: Sequence[EngineSpec],
    workloads: Sequence[Workload],
    plan: Plan,
    *,
    least_cosine: float | Mapping[str, float],
    reference: str | None = None,
    expected: Mapping[str, Answers] | None = None,
    checked: Sequence[Workload] | None = None,
    limits: Sequence[EngineSpec] = (),
    skipped: Mapping[str, str] | None = None,
    progress: Callable[[str], None] = lambda _: None,
    keep: Callable[[Comparison], None] = lambda _: None,
) -> Comparison:
    """Compare engines on the same workloads.

    They are loaded one after the other and stay loaded. An engine that can't be loaded, or whose
    logits have a lower cosine to the right ones than `least_cosine`, is not timed; one that dies on
    a workload is started again for the others.

    Args:
        specs: the engines.
        workloads: what they are timed on.
        plan: how much is measured.
        least_cosine: the lowest one that still counts as the same answer, one for all engines or
            by their names.
        reference: the name of the engine whose answers are right.
        expected: or else the right answers of each engine.
        checked: what the answers are compared on; by default all workloads.
        limits: engines that answer nothing; they are timed among the others.
        skipped: why a workload is not run at all, by its name; nothing is compared on it either.
        progress: called with what is done.
        keep: called after each round with what is known so far, and with all at the end.

    Raises:
        WorkerError: the reference, or a limit, could not be loaded, or the reference not be asked.
    """
    not_run = skipped or {}
    asked = [one for one in (workloads if checked is None else checked) if one.name not in not_run]
    with ExitStack() as stack:
        workers, broken = _start(stack, specs, progress)
        probes, failed = _start(stack, limits, progress)
        if reference in broken or failed:
            raise next(
                error
                for name, error in {**failed, **broken}.items()
                if name in {reference, *failed}
            )
        progress("comparing the answers")
        if expected is None:
            right = answers.ask(next(one for one in workers if one.name == reference), asked)
            expected = {worker.name: right for worker in workers}
        cosines, refused = answers.check(workers, asked, expected=expected, least=least_cosine)
        refused |= {name: f"could not be loaded: {error.reason}" for name, error in broken.items()}
        loaded = {worker.name: worker.loaded for worker in workers}
        for worker in workers:
            if worker.name in refused:
                worker.close()
        timed = [worker for worker in workers if worker.name in cosines]
        run = Interleaved(
            [*timed, *probes],
            workloads,
            plan,
            skipped={
                (engine.name, name): why
                for engine in [*timed, *probes]
                for name, why in not_run.items()
            },
            progress=progress,
        )
        watch = Watch(lambda: processes.cpu_seconds([*timed, *probes]))

        def so_far() -> Comparison:
            memory = {worker.name: _memory(worker) for worker in timed}
            return Comparison(
                tuple(workloads),
                plan,
                tuple(_result(spec, run, loaded, memory, cosines, refused) for spec in specs),
                {key: rounds for key, rounds in run.samples().items() if key[0] in of_limits},
                tuple(watch.warnings(_threads(specs))),
            )

        of_limits = {spec.name for spec in limits}
        for number in run.rounds():
            watch.lap()
            if number:
                keep(so_far())
        return so_far()


def _start(
    stack: ExitStack, specs: Sequence[EngineSpec], progress: Callable[[str], None]
) -> tuple[list[Worker], dict[str, WorkerError]]:
    workers, broken = [], {}
    for spec in specs:
        progress(f"loading {spec.name}")
        try:
            worker = Worker(spec.name, spec.engine, spec.arguments, interpreter=spec.interpreter)
        except WorkerError as error:
            broken[spec.name] = error
        else:
            workers.append(stack.enter_context(worker))
    return workers, broken


def _threads(specs: Sequence[EngineSpec]) -> int:
    return max((spec.arguments.get("threads", 0) for spec in specs), default=0) or usable_cpus()


def _result(
    spec: EngineSpec,
    run: Interleaved,
    loaded: Mapping[str, Loaded],
    memory: Mapping[str, tuple[int | None, int | None]],
    cosines: Mapping[str, float],
    refused: Mapping[str, str],
) -> EngineResult:
    name = spec.name
    resident, peak = memory.get(name, (None, None))
    # A copy: the run goes on.
    calls = {workload: [*rounds] for (one, workload), rounds in run.calls.items() if one == name}
    return EngineResult(
        spec=spec,
        loaded=loaded.get(name),
        resident_bytes=resident,
        cosine=cosines.get(name),
        refused=refused.get(name),
        rounds={workload: [median(one) for one in rounds] for workload, rounds in calls.items()},
        peak_bytes=peak,
        failed={workload: why for (one, workload), why in run.failed.items() if one == name},
        calls=calls,
    )


def _memory(worker: Worker) -> tuple[int | None, int | None]:
    try:
        return worker.resident_bytes(), worker.peak_bytes()
    except WorkerError:
        return None, None
