"""The measurement of `claim`: one pair of models after the other."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from distilroberta.bench.claim import memory, results, workloads
from distilroberta.bench.claim.models import (
    CLASSIFICATION,
    OURS,
    PRECISIONS,
    USUAL,
    Models,
    Side,
)
from distilroberta.bench.claim.reason import Subjects
from distilroberta.bench.claim.results import Pair
from distilroberta.bench.claim.terms import BASE, DISTIL
from distilroberta.bench.claim.workloads import TaskWorkloads
from distilroberta.bench.engines.torch_engines import TorchModel
from distilroberta.bench.errors import BenchError
from distilroberta.bench.harness import answers
from distilroberta.bench.harness.answers import Answers
from distilroberta.bench.harness.interleave import Plan
from distilroberta.bench.harness.suite import Comparison, compare
from distilroberta.bench.harness.workload import Shape
from distilroberta.bench.limit import work
from distilroberta.bench.limit.work import Work

# Of logits to PyTorch's, of random weights too, where nothing stands out of what quantizing adds.
_LEAST_COSINE = {"fp32": 0.9999}
_LEAST_COSINE_OF_OTHERS = 0.95


@dataclass(frozen=True)
class Settings:
    """What is measured, and how.

    `engines` is empty where none was named: then ours run every task, and the usual export all but
    text-classification.
    """

    tasks: list[str]
    engines: list[str]
    precision: str
    shapes: list[Shape]
    plan: Plan
    threads: int


class Claim:
    """The measurement: one pair after the other, each in a folder that is taken away again."""

    def __init__(self, models: Models, settings: Settings, folder: Path) -> None:
        """Take the models and what is asked; `folder` is an empty one."""
        self._models, self._settings, self._folder = models, settings, folder
        self._workloads: dict[str, TaskWorkloads] = {}
        self._expected: dict[str, dict[str, Answers]] = {}

    def pairs(self) -> list[tuple[str, str]]:
        """List the tasks and engines that are measured, in their order."""
        asked = self._settings
        return [
            (task, engine)
            for task in asked.tasks
            for engine in asked.engines or [OURS, *([USUAL] if task != CLASSIFICATION else [])]
            if asked.engines or asked.precision in PRECISIONS[engine]
        ]

    def prepare(self, progress: Callable[[str], None]) -> None:
        """Make the checkpoints and the workloads of all tasks, before anything is measured.

        Args:
            progress: called with what is done.

        Raises:
            InputError: a length is none that both models take, or a checkpoint has not the task.
            DistilRobertaError: a checkpoint can't be used.
        """
        for task in self._settings.tasks:
            progress(f"{task}: making the checkpoints and the texts")
            self._workloads[task] = workloads.of_task(self._models, task, self._settings.shapes)

    def measure(
        self,
        task: str,
        engine: str,
        *,
        progress: Callable[[str], None],
        keep: Callable[[Pair], None],
    ) -> Pair:
        """Measure one pair, after `prepare`.

        Args:
            task: the task.
            engine: the engine.
            progress: called with what is done.
            keep: called after every round with what is known so far.

        Raises:
            BenchError: no cell fits into the memory, or one of the models was refused, so that
                there is nothing to compare the other with.
            DistilRobertaError: a model could not be made, or PyTorch could not run it.
        """
        settings, precision = self._settings, self._settings.precision
        title = f"{task}, {engine}"
        given = self._workloads[task]
        expected = self._right_answers(task, progress)
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            sides: dict[str, Side] = {}
            for side in (DISTIL, BASE):
                progress(f"{title}: making {side}")
                place = Path(folder) / side
                sides[side] = self._models.side(side, task, engine, precision, place)
            skipped = self._without_room(task, engine, sides)
            checked = [one for one in given.checked if one.name not in skipped]
            progress(f"{title}: counting operations")
            layers = (self._models.layers(DISTIL, task), self._models.layers(BASE, task))
            subjects = Subjects(task, layers, self._works(task, sides))

            def judged(found: Comparison) -> Pair:
                _require_both(found)
                names = [one.name for one in checked]
                return results.judge(engine, precision, found, names, subjects)

            comparison = compare(
                [one.spec for one in sides.values()],
                given.cells,
                settings.plan,
                least_cosine=_LEAST_COSINE.get(precision, _LEAST_COSINE_OF_OTHERS),
                expected=expected,
                checked=checked,
                skipped=skipped,
                progress=lambda step: progress(f"{title}: {step}"),
                keep=lambda found: keep(judged(found)),
            )
            return judged(comparison)

    def _without_room(self, task: str, engine: str, sides: Mapping[str, Side]) -> dict[str, str]:
        given = self._workloads[task]
        file_bytes = sum(side.spec.file_bytes for side in sides.values())
        needed = {
            one.name: memory.needed_bytes(one, task, engine, given.vocabularies, file_bytes)
            for one in given.cells
        }
        skipped = memory.without_room(needed, memory.available_bytes())
        if len(skipped) == len(needed):
            smallest = min(needed, key=lambda name: needed[name])
            raise BenchError(f"no cell fits into the memory: {smallest} {skipped[smallest]}")
        return skipped

    def _right_answers(self, task: str, progress: Callable[[str], None]) -> dict[str, Answers]:
        if task not in self._expected:
            right = {}
            for side in (DISTIL, BASE):
                progress(f"{task}: asking {side} in PyTorch")
                checkpoint = str(self._models.checkpoint(side, task))
                # In this process: nothing is timed now, and it has PyTorch loaded already.
                model = TorchModel(checkpoint, task, self._settings.threads)
                right[side] = answers.ask(model, self._workloads[task].checked)
            self._expected[task] = right
        return self._expected[task]

    def _works(self, task: str, sides: Mapping[str, Side]) -> dict[str, tuple[Work, Work]]:
        graphs = [sides[side].graph for side in (DISTIL, BASE)]
        if None in graphs:
            return {}
        # Texts are independent, so the work of many is that of one so many times.
        single = self._workloads[task].single
        counted = [work.count(graph, single) for graph in graphs if graph is not None]
        return {
            str(shape): (
                counted[0][str(Shape(1, shape.tokens))].times(shape.rows),
                counted[1][str(Shape(1, shape.tokens))].times(shape.rows),
            )
            for shape in self._settings.shapes
        }


def _require_both(comparison: Comparison) -> None:
    for engine in comparison.engines:
        if engine.refused:
            raise BenchError(f"{engine.spec.name}: {engine.refused}")
