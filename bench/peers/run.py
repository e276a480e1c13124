"""One run of `peers`: each task's engines are made, compared, and timed level by level."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from distilroberta.bench.errors import BenchError
from distilroberta.bench.harness import answers
from distilroberta.bench.harness.interleave import Plan
from distilroberta.bench.harness.processes import Worker
from distilroberta.bench.harness.suite import Comparison, compare
from distilroberta.bench.harness.workload import Shape, Workload
from distilroberta.bench.limit.machine_limit import MachineLimit
from distilroberta.bench.models import texts
from distilroberta.bench.models.checked_shapes import checked_shapes_of
from distilroberta.bench.models.checkpoints import random_checkpoint
from distilroberta.bench.peers import lineup as peers_lineup
from distilroberta.bench.peers import precision, ratios, schemes
from distilroberta.bench.peers.lineup import MODEL, Lineup
from distilroberta.bench.peers.results import Measured
from distilroberta.export.source import resolve
from distilroberta.runtime import Artifact, layout
from distilroberta.runtime.command_line import one_line
from distilroberta.runtime.errors import InputError
from distilroberta.runtime.tasks.model_config import ModelConfig

# Of the logits of random weights, where nothing stands out of what quantizing adds. A graph that
# is put together wrongly is far below. OpenVINO stores its FP32 weights in FP16.
LEAST_COSINE, LEAST_COSINE_OF_FP32 = 0.95, 0.999
_OUR_FP32 = "fp32"
_FILL_MASK = "fill-mask"
# What a pipeline is asked to score a whole vocabulary for: transformers decodes the text again for
# every word of it.
_CHECKED_TOKENS = 128


@dataclass(frozen=True)
class Settings:
    """What is measured, and how."""

    tasks: list[str]
    levels: list[str]
    shapes: list[Shape]
    plan: Plan
    engines: peers_lineup.Settings
    limit: bool

    @property
    def variant(self) -> str:
        """Our variant that the verdict is about: the first that is not FP32, if there is one."""
        names = self.engines.variants
        return next((one for one in names if one != _OUR_FP32), names[0])


class PeersRun:
    """All tasks and levels, one after the other, and what is known of them so far.

    `found` is what was measured, `left_out` says why an engine or a level was not, `schemes` how
    engines are made. `packages` are the versions in the environment of OpenVINO and CTranslate2.
    """

    def __init__(
        self,
        settings: Settings,
        checkpoint: Path | None,
        keep: Callable[[PeersRun], None] = lambda _: None,
    ) -> None:
        """Take what is measured.

        Args:
            settings: how.
            checkpoint: of one task; random weights without.
            keep: called after each round.
        """
        self.found: list[Measured] = []
        self.left_out: dict[str, str] = {}
        self.schemes: dict[str, str] = {}
        self.packages: dict[str, str] = {}
        self._settings, self._checkpoint, self._keep = settings, checkpoint, keep

    @property
    def is_empty(self) -> bool:
        """Whether no engine was timed at any level."""
        return all(one.is_empty for one in self.found)

    @property
    def refused(self) -> dict[str, str]:
        """Why engines and levels were not timed, by their names."""
        engines = {
            engine.spec.name: engine.refused
            for one in self.found
            for engine in one.comparison.engines
            if engine.refused
        }
        return {**self.left_out, **engines}

    def measure(self, progress: Callable[[str], None] = lambda _: None) -> None:
        """Measure all of it.

        Args:
            progress: called with what is done.

        Raises:
            InputError: a shape has more tokens than the model takes.
            DistilRobertaError: our artifact could not be built.
        """
        for task in self._settings.tasks:
            with tempfile.TemporaryDirectory() as folder:
                lineup = self._lineup(task, Path(folder), progress)
                for level in self._settings.levels:
                    self._measure(task, level, lineup, progress)

    def _lineup(self, task: str, folder: Path, progress: Callable[[str], None]) -> Lineup:
        source = self._source(task, folder, progress)
        lineup = peers_lineup.make(
            task,
            source,
            folder,
            self._settings.engines,
            lambda step: progress(f"{task}: {step}"),
        )
        self.packages.update(lineup.packages)
        for name, reason in lineup.left_out.items():
            same = self.left_out.get(name, reason) == reason
            self.left_out[name if same else f"{name}, {task}"] = reason
        return lineup

    def _source(self, task: str, folder: Path, progress: Callable[[str], None]) -> Path:
        if self._checkpoint is None:
            progress(f"{task}: writing random weights")
            source = random_checkpoint(folder / "checkpoint", task=task)
        else:
            source = resolve(str(self._checkpoint)).folder
        longest = ModelConfig.read(source / layout.CONFIG).max_length
        for shape in self._settings.shapes:  # known before all that is made
            if shape.tokens > longest:
                raise InputError(f"--shapes asks for {shape}, the model takes {longest} tokens")
        return source

    def _measure(
        self, task: str, level: str, lineup: Lineup, progress: Callable[[str], None]
    ) -> None:
        self.schemes.update(schemes.of([spec.name for spec in lineup.engines[level]]))
        place = len(self.found)

        def keep(measured: Measured) -> None:
            self.found[place:] = [measured]
            self._keep(self)

        said = f"{task}, {level}"
        try:
            keep(
                measure_level(
                    task,
                    level,
                    lineup,
                    self._settings,
                    progress=lambda step: progress(f"{said}: {step}"),
                    keep=keep,
                )
            )
        except BenchError as error:  # the others may still be measured
            self.left_out[said] = one_line(error)


def measure_level(
    task: str,
    level: str,
    lineup: Lineup,
    settings: Settings,
    *,
    progress: Callable[[str], None],
    keep: Callable[[Measured], None],
) -> Measured:
    """Compare the engines of one level.

    Args:
        task: the task.
        level: `model` or `pipeline`.
        lineup: the task's engines.
        settings: what is measured.
        progress: called with what is done.
        keep: called after every round with what is known so far.

    Raises:
        WorkerError: PyTorch, or a limit, could not be run.
    """
    workloads = texts.of_artifact(lineup.artifact, settings.shapes)
    checked = texts.of_artifact(lineup.artifact, shapes_to_check(level, lineup.artifact, settings))
    limit = _limit(lineup, workloads, settings) if level == MODEL and settings.limit else None

    def judge(comparison: Comparison) -> Measured:
        return Measured(
            task,
            level,
            comparison,
            tuple(workload.name for workload in checked),
            ratios.ratios(comparison, lineup.pairs(level)),
            limit.of(comparison) if limit else None,
        )

    progress("asking PyTorch")
    reference = lineup.references[level]
    with Worker(reference.name, reference.engine, reference.arguments) as worker:
        right = answers.ask(worker, checked)
    comparison = compare(
        lineup.engines[level],
        workloads,
        settings.plan,
        least_cosine={spec.name: _least_cosine(spec.name) for spec in lineup.engines[level]},
        expected={spec.name: right for spec in lineup.engines[level]},
        checked=checked,
        limits=limit.engines if limit else [],
        progress=progress,
        keep=lambda found: keep(judge(found)),
    )
    return judge(comparison)


def shapes_to_check(level: str, artifact: Artifact, settings: Settings) -> list[Shape]:
    """Return the shapes that answers are compared on at a level.

    They are those that are timed, but for those that `checked_shapes` replaces of classifiers with
    few labels, and for fill-mask pipelines, which score the whole vocabulary: of these the shapes
    of up to 128 tokens, or one text where there is none.
    """
    shapes = checked_shapes_of(artifact, settings.shapes)
    if level == MODEL or artifact.task != _FILL_MASK:
        return shapes
    small = [shape for shape in shapes if shape.rows * shape.tokens <= _CHECKED_TOKENS]
    return small or [Shape(1, min(_CHECKED_TOKENS, *(shape.tokens for shape in shapes)))]


def _least_cosine(engine: str) -> float:
    return LEAST_COSINE_OF_FP32 if precision.of(engine) == precision.FP32 else LEAST_COSINE


def _limit(lineup: Lineup, workloads: Sequence[Workload], settings: Settings) -> MachineLimit:
    return MachineLimit(lineup.artifact, lineup.ours, workloads, settings.engines.threads)
