"""One run of `latency`: the engines of an artifact compared, started anew, and their energy."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from distilroberta.bench.errors import BenchError
from distilroberta.bench.harness import answers
from distilroberta.bench.harness.interleave import Key, Plan
from distilroberta.bench.harness.processes import Worker
from distilroberta.bench.harness.suite import Comparison, EngineSpec, compare
from distilroberta.bench.harness.workload import Shape, Workload
from distilroberta.bench.latency import artifact_starts, energy
from distilroberta.bench.latency import results as latency_results
from distilroberta.bench.latency import verdict as latency_verdict
from distilroberta.bench.latency.artifact_starts import Setup
from distilroberta.bench.latency.energy import Meter
from distilroberta.bench.latency.results import Measured
from distilroberta.bench.models import texts
from distilroberta.bench.models.specs import artifact_engine
from distilroberta.quantize.recipes import RECIPES
from distilroberta.runtime import Artifact

# What is timed, by name: the engine, and what it does in words.
LEVELS = {
    "pipeline": ("ArtifactPipeline", "texts to answers"),
    "model": ("ArtifactSession", "token ids to logits"),
}
_FP32 = "fp32"
# Of one text and two labels a cosine says nothing but which is better, which may be as good as
# even. So with fewer labels than this it is of as many texts.
_CHECKED = 8
_CHECKED_TOKENS = 16
_ENERGY_ROUNDS = 3
_ENERGY_SECONDS = 1.0


@dataclass(frozen=True)
class Settings:
    """How an artifact is measured; `starts` is how many fresh processes of each engine."""

    variants: tuple[str, ...]
    providers: tuple[str, ...]
    level: str
    shapes: tuple[Shape, ...]
    plan: Plan
    threads: int
    starts: int


class LatencyRun:
    """One run. `measured` is what is known so far, None before the first round."""

    def __init__(
        self,
        artifact: Artifact,
        settings: Settings,
        keep: Callable[[Measured], None] = lambda _: None,
        meter: Callable[[], Meter] = Meter,
    ) -> None:
        """Take what is measured.

        Args:
            artifact: it.
            settings: how.
            keep: called after each round, of whatever kind, with what is known.
            meter: finds the energy counters.
        """
        self.measured: Measured | None = None
        self._artifact, self._settings, self._keep, self._meter = artifact, settings, keep, meter
        self._setups = {
            f"{variant} on {provider}": Setup(variant, provider)
            for provider in settings.providers
            for variant in settings.variants
        }
        self._workloads = texts.of_artifact(artifact, settings.shapes)

    def run(self, progress: Callable[[str], None] = lambda _: None) -> Measured:
        """Measure all of it.

        Raises:
            WorkerError: the engine whose answers are right can't be used.
        """
        measured = self._compare(progress)
        measured = self._start(measured, progress)
        return self._weigh(measured, progress)

    def _compare(self, progress: Callable[[str], None]) -> Measured:
        artifact, settings = self._artifact, self._settings
        provider = settings.providers[0]
        right = _most_precise(artifact, artifact.variants)
        baseline = _most_precise(artifact, settings.variants)
        quality = {name: artifact.variant(name).agreement for name in settings.variants}
        specs = [self._spec(name, setup) for name, setup in self._setups.items()]
        checked = texts.of_artifact(artifact, checked_shapes(artifact, settings.shapes))
        expected = None
        if right != baseline:
            progress(f"asking {right}, whose answers are right")
            known = self._answers(Setup(right, provider), checked)
            expected = {spec.name: known for spec in specs}

        def keep(comparison: Comparison) -> None:
            engines = latency_results.without_missing_providers(comparison, self._setups)
            left_out = latency_results.missing_providers(comparison, self._setups)
            name = f"{baseline} on {provider}"
            self._known(Measured(engines, self._setups, quality, name, left_out=left_out))

        keep(
            compare(
                specs,
                self._workloads,
                settings.plan,
                least_cosine=least_cosines(self._setups),
                reference=f"{baseline} on {provider}",
                expected=expected,
                checked=checked,
                progress=progress,
                keep=keep,
            )
        )
        assert self.measured is not None  # kept just now
        return self.measured

    def _start(self, measured: Measured, progress: Callable[[str], None]) -> Measured:
        text = latency_verdict.headline(tuple(self._workloads)).texts[0]
        threads = self._settings.threads

        def start(name: str) -> float:
            setup = self._setups[name]
            return artifact_starts.start(name, self._artifact, setup, text, threads)

        found = artifact_starts.measure(
            _timed(measured),
            start,
            self._settings.starts,
            seed=self._settings.plan.seed,
            progress=progress,
            keep=lambda seconds: self._known(replace(measured, starts=_copied(seconds))),
        )
        failed = {f"cold start of {name}": why for name, why in found.failed.items()}
        left_out = {**measured.left_out, **failed}
        return self._known(replace(measured, starts=found.seconds, left_out=left_out))

    def _weigh(self, measured: Measured, progress: Callable[[str], None]) -> Measured:
        try:
            meter = self._meter()
        except BenchError as error:
            return self._known(
                replace(measured, left_out={**measured.left_out, "energy": str(error)})
            )
        measured = replace(measured, meter=str(meter))
        for name in _timed(measured):
            if self._setups[name].provider != "cpu":  # what a GPU takes is not counted
                continue
            progress(f"energy of {name}")
            spec = self._spec(name, self._setups[name])
            try:
                with Worker(name, spec.engine, spec.arguments) as worker:
                    joules = self._joules(measured, worker, meter)
            except BenchError as error:
                left_out = {**measured.left_out, f"energy of {name}": str(error)}
                measured = replace(measured, left_out=left_out)
                continue
            measured = self._known(replace(measured, joules={**measured.joules, **joules}))
        return self._known(measured)

    def _joules(self, measured: Measured, worker: Worker, meter: Meter) -> dict[Key, float]:
        engine = measured.engine(worker.name)
        joules = {}
        for workload in self._workloads:
            found = measured.calls(engine, workload)
            if found is None:
                continue
            calls = math.ceil(_ENERGY_SECONDS / (found.p50 / 1e3))
            warmup = self._settings.plan.warmup
            joules[worker.name, workload.name] = energy.joules_per_text(
                meter, worker, workload, calls, warmup=warmup, rounds=_ENERGY_ROUNDS
            )
        return joules

    def _known(self, measured: Measured) -> Measured:
        self.measured = measured
        self._keep(measured)
        return measured

    def _answers(self, setup: Setup, workloads: Sequence[Workload]) -> answers.Answers:
        spec = self._spec(setup.variant, setup)
        with Worker(spec.name, spec.engine, spec.arguments) as worker:
            return answers.ask(worker, workloads)

    def _spec(self, name: str, setup: Setup) -> EngineSpec:
        engine, _ = LEVELS[self._settings.level]
        threads = self._settings.threads
        spec = artifact_engine(name, engine, self._artifact, setup.variant, threads)
        return replace(spec, arguments={**spec.arguments, "provider": setup.provider})


def checked_shapes(artifact: Artifact, shapes: Sequence[Shape]) -> list[Shape]:
    """Return the shapes that answers are compared on: those that are timed, for most models.

    For a classifier with few labels, fewer texts than eight become eight that have about as many
    tokens together: with more, the comparison would set the peak of the memory.
    """
    labels = artifact.manifest.variants[artifact.variants[0]].outputs[0].shape[-1]
    if artifact.task != "text-classification" or not isinstance(labels, int) or labels >= _CHECKED:
        return list(shapes)
    enough = (
        shape
        if shape.rows >= _CHECKED
        else Shape(_CHECKED, max(_CHECKED_TOKENS, shape.rows * shape.tokens // _CHECKED))
        for shape in shapes
    )
    return list(dict.fromkeys(enough))


def least_cosines(setups: Mapping[str, Setup]) -> dict[str, float]:
    """Return the lowest cosine that a build accepts of each engine's variant."""
    return {name: RECIPES[setup.variant].lowest_cosine for name, setup in setups.items()}


def _most_precise(artifact: Artifact, variants: Sequence[str]) -> str:
    if _FP32 in variants:
        return _FP32
    return max(variants, key=lambda name: artifact.variant(name).agreement.cosine)


def _timed(measured: Measured) -> list[str]:
    return [engine.spec.name for engine in measured.comparison.engines if engine.rounds]


def _copied(seconds: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    return {name: list(found) for name, found in seconds.items()}
