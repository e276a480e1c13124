"""One run of `latency`: the engines of an artifact compared, started anew, and their energy."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TypeVar

from distilroberta.bench.errors import BenchError, WorkerError
from distilroberta.bench.harness import answers
from distilroberta.bench.harness.interleave import Key, Plan
from distilroberta.bench.harness.processes import Worker
from distilroberta.bench.harness.suite import Comparison, EngineSpec, compare
from distilroberta.bench.harness.workload import Shape, Workload
from distilroberta.bench.latency import artifact_starts, energy
from distilroberta.bench.latency import results as latency_results
from distilroberta.bench.latency import verdict as latency_verdict
from distilroberta.bench.latency.artifact_starts import Setup, Start
from distilroberta.bench.latency.energy import Meter
from distilroberta.bench.latency.results import Measured
from distilroberta.bench.models import texts
from distilroberta.bench.models.checked_shapes import checked_shapes_of
from distilroberta.bench.models.specs import artifact_engine
from distilroberta.quantize.recipes import RECIPES
from distilroberta.runtime import Artifact, ProviderError
from distilroberta.runtime.execution import gpu

Name = TypeVar("Name")
Value = TypeVar("Value")

# What is timed, by name: the engine, and what it does in words.
LEVELS = {
    "pipeline": ("ArtifactPipeline", "texts to answers"),
    "model": ("ArtifactSession", "token ids to logits"),
}
_FP32 = "fp32"
_CPU = "cpu"
_ENERGY_ROUNDS = 5
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
    """One run, all that it takes ready; nothing is measured yet."""

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
        provider = self._reference_provider(progress)
        right = _most_precise(artifact, artifact.variants)
        baseline = _most_precise(artifact, settings.variants)
        quality = {name: artifact.variant(name).agreement for name in settings.variants}
        specs = [self._spec(name, setup) for name, setup in self._setups.items()]
        shapes = checked_shapes_of(artifact, settings.shapes)
        checked = texts.of_artifact(artifact, shapes)
        expected = None
        if right != baseline:
            progress(f"asking {right}, whose answers are right")
            right_ones = self._answers(Setup(right, provider), checked)
            expected = {spec.name: right_ones for spec in specs}

        reference = f"{baseline} on {provider}"

        def known(comparison: Comparison) -> Measured:
            engines = latency_results.without_missing_providers(comparison, self._setups)
            left_out = latency_results.missing_providers(comparison, self._setups)
            found = Measured(engines, self._setups, quality, reference, left_out=left_out)
            return self._known(self._with_gpu(found))

        def keep(comparison: Comparison) -> None:
            known(comparison)

        return known(
            compare(
                specs,
                self._workloads,
                settings.plan,
                least_cosine=least_cosines(self._setups),
                reference=reference,
                expected=expected,
                checked=checked,
                progress=progress,
                keep=keep,
            )
        )

    def _reference_provider(self, progress: Callable[[str], None]) -> str:
        """Return the provider whose answers are right: the CPU, or else the first that starts.

        Raises:
            WorkerError: none starts; this is what the first one says.
        """
        providers = self._settings.providers
        if _CPU in providers:
            return _CPU
        if len(providers) == 1:
            return providers[0]
        variant = _most_precise(self._artifact, self._settings.variants)
        errors = []
        for provider in providers:
            progress(f"starting {provider}")
            name = f"{variant} on {provider}"
            spec = self._spec(name, self._setups[name])
            try:
                with Worker(spec.name, spec.engine, spec.arguments):
                    return provider
            except WorkerError as error:
                errors.append(error)
        raise errors[0]

    def _with_gpu(self, measured: Measured) -> Measured:
        if all(self._setups[name].provider == _CPU for name in _loaded(measured)):
            return measured
        try:
            return replace(measured, gpu=gpu.describe(0))
        except ProviderError as error:
            left_out = {**measured.left_out, "what GPU it is": str(error)}
            return replace(measured, left_out=left_out)

    def _start(self, measured: Measured, progress: Callable[[str], None]) -> Measured:
        text = latency_verdict.headline(tuple(self._workloads)).texts[0]
        threads = self._settings.threads

        def start(name: str) -> Start:
            setup = self._setups[name]
            return artifact_starts.start(name, self._artifact, setup, text, threads)

        found = artifact_starts.measure(
            _timed(measured),
            start,
            self._settings.starts,
            seed=self._settings.plan.seed,
            progress=progress,
            keep=lambda starts: self._known(replace(measured, starts=_copied(starts))),
        )
        failed = {f"cold start of {name}": why for name, why in found.failed.items()}
        left_out = {**measured.left_out, **failed}
        return self._known(replace(measured, starts=found.starts, left_out=left_out))

    def _weigh(self, measured: Measured, progress: Callable[[str], None]) -> Measured:
        try:
            meter = self._meter()
        except BenchError as error:
            return self._known(
                replace(measured, left_out={**measured.left_out, "energy": str(error)})
            )
        measured = replace(measured, meter=str(meter))
        left_out = dict(measured.left_out)
        with ExitStack() as stack:
            workers = []
            for name in _timed(measured):
                if self._setups[name].provider != _CPU:  # what a GPU takes is not counted
                    continue
                spec = self._spec(name, self._setups[name])
                try:
                    worker = Worker(name, spec.engine, spec.arguments)
                except WorkerError as error:
                    left_out[f"energy of {name}"] = str(error)
                else:
                    workers.append(stack.enter_context(worker))
            found = energy.measure(
                meter,
                workers,
                self._workloads,
                self._energy_calls(measured, workers),
                warmup=self._settings.plan.warmup,
                rounds=_ENERGY_ROUNDS,
                seed=self._settings.plan.seed,
                progress=progress,
                keep=lambda joules: self._known(replace(measured, joules=_copied(joules))),
            )
        left_out |= {f"energy of {name}": why for name, why in found.failed.items()}
        return self._known(replace(measured, joules=found.joules, left_out=left_out))

    def _energy_calls(self, measured: Measured, workers: Sequence[Worker]) -> dict[Key, int]:
        return {
            (worker.name, workload.name): math.ceil(_ENERGY_SECONDS / (found.p50 / 1e3))
            for worker in workers
            for workload in self._workloads
            if (found := measured.calls(measured.engine(worker.name), workload))
        }

    def _known(self, measured: Measured) -> Measured:
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


def least_cosines(setups: Mapping[str, Setup]) -> dict[str, float]:
    """Return the lowest cosine that a build accepts of each engine's variant."""
    return {name: RECIPES[setup.variant].lowest_cosine for name, setup in setups.items()}


def _most_precise(artifact: Artifact, variants: Sequence[str]) -> str:
    if _FP32 in variants:
        return _FP32
    return max(variants, key=lambda name: artifact.variant(name).agreement.cosine)


def _timed(measured: Measured) -> list[str]:
    return [engine.spec.name for engine in measured.comparison.engines if engine.rounds]


def _loaded(measured: Measured) -> list[str]:
    return [engine.spec.name for engine in measured.comparison.engines if engine.loaded]


def _copied(found: Mapping[Name, Sequence[Value]]) -> dict[Name, list[Value]]:
    return {name: list(values) for name, values in found.items()}
