"""One comparison of engines: load each in its process, check the answers, time them interleaved."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distilroberta.bench import answers, interleave
from distilroberta.bench.interleave import Plan, Samples, Spread
from distilroberta.bench.processes import Worker
from distilroberta.bench.worker import Loaded
from distilroberta.bench.workload import Workload


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

    `loaded` is how long it took to load and the memory after that, `resident_bytes` the memory
    after the whole run. `cosine` is the lowest one to the reference's logits, `refused` says why
    the engine was not timed; one of the two is None. `rounds` are milliseconds by workload name.
    """

    spec: EngineSpec
    loaded: Loaded
    resident_bytes: int | None
    cosine: float | None
    refused: str | None
    rounds: Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Comparison:
    """All engines of one run, in the order they were given.

    `limits` are the milliseconds of the engines that only show what the machine can do, in the
    same rounds, by engine and workload name.
    """

    workloads: tuple[Workload, ...]
    plan: Plan
    engines: tuple[EngineResult, ...]
    limits: Samples = field(default_factory=dict)

    def speed(self, engine: str, baseline: str, workload: str) -> Spread | None:
        """Return how many times as fast one engine is as another, over paired rounds.

        None where one of the two was not timed.
        """
        rounds = {one.spec.name: one.rounds.get(workload) for one in self.engines}
        fast, slow = rounds[engine], rounds[baseline]
        return interleave.ratio(slow, fast) if fast and slow else None


def compare(
    specs: Sequence[EngineSpec],
    workloads: Sequence[Workload],
    plan: Plan,
    *,
    reference: str,
    least_cosine: float,
    limits: Sequence[EngineSpec] = (),
    progress: Callable[[str], None] = lambda _: None,
) -> Comparison:
    """Compare engines on the same workloads.

    They are loaded one after the other and stay loaded. The one named `reference` says what is
    right; an engine whose logits have a lower cosine to its than `least_cosine` is not timed. The
    engines in `limits` answer nothing; they are timed among the others.

    Raises:
        WorkerError: an engine could not be loaded, raised, died or took too long.
    """
    with ExitStack() as stack:
        workers, probes = (_start(stack, some, progress) for some in (specs, limits))
        progress("comparing the answers")
        cosines, refused = answers.check(
            workers, workloads, reference=reference, least=least_cosine
        )
        timed = [worker for worker in workers if worker.name in cosines]
        samples = interleave.measure([*timed, *probes], workloads, plan, progress)
        results = [
            EngineResult(
                spec=spec,
                loaded=worker.loaded,
                resident_bytes=worker.resident_bytes(),
                cosine=cosines.get(spec.name),
                refused=refused.get(spec.name),
                rounds={
                    workload: rounds
                    for (engine, workload), rounds in samples.items()
                    if engine == spec.name
                },
            )
            for spec, worker in zip(specs, workers, strict=True)
        ]
    names = {spec.name for spec in limits}
    of_limits = {key: rounds for key, rounds in samples.items() if key[0] in names}
    return Comparison(tuple(workloads), plan, tuple(results), of_limits)


def _start(
    stack: ExitStack, specs: Sequence[EngineSpec], progress: Callable[[str], None]
) -> list[Worker]:
    workers = []
    for spec in specs:
        progress(f"loading {spec.name}")
        worker = Worker(spec.name, spec.engine, spec.arguments, interpreter=spec.interpreter)
        workers.append(stack.enter_context(worker))
    return workers
