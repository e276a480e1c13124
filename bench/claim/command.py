"""Is DistilRoBERTa twice as fast as RoBERTa-base, as its model card says?

    distilroberta bench claim [--tasks ...] [--engines ours,usual,torch] [--precision int8] ...

Both models run in the same engine, precision and task, each in a process of its own, with the same
number of threads, on the same token ids, from these to the logits (or the hidden states, for
features). Before that, each is compared with PyTorch on the same checkpoint. Rounds alternate
between the two, and the ratio is taken within each round: see `interleave` and `ratio_interval`.

Every length and batch is a cell. What its ratio says of the claim, and why it fails where it does,
is told by `claim_verdict`; the ratio over all cells is their geometric mean. The engines are those
of `claim_models`: our served graphs, and the usual export, which runs the language-model head for
every token.

Results are written after every round, into a new file in `bench-results` unless `--json` names one;
Ctrl-C keeps what was measured. The exit code does not depend on what was measured.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import typer
from rich.table import Table

from distilroberta.bench.claim import terms
from distilroberta.bench.claim import verdict as claim_verdict
from distilroberta.bench.claim.models import (
    ENGINES,
    PRECISIONS,
    RANDOM,
    REAL,
    TASKS,
    Models,
    Side,
)
from distilroberta.bench.claim.terms import BASE, DISTIL
from distilroberta.bench.claim.verdict import Cell, Overall, Subjects
from distilroberta.bench.engines.torch_engines import TorchModel
from distilroberta.bench.harness import (
    answers,
    command_line,
    machine,
    ratio_interval,
    results_file,
    tables,
)
from distilroberta.bench.harness.interleave import Plan
from distilroberta.bench.harness.ratio_interval import Ratio
from distilroberta.bench.harness.recorded import recorded
from distilroberta.bench.harness.suite import Comparison, compare
from distilroberta.bench.harness.workload import Shape, Workload
from distilroberta.bench.limit import work
from distilroberta.bench.limit.work import Work
from distilroberta.bench.models import texts
from distilroberta.runtime import layout
from distilroberta.runtime.command_line import messages, one_line
from distilroberta.runtime.errors import DistilRobertaError, InputError
from distilroberta.runtime.tasks.model_config import ModelConfig

NAME = "claim"
_PACKAGES = ("optimum", "optimum-onnx", "transformers", "torch", "onnx")
# Of logits to PyTorch's, of random weights too, where nothing stands out of what quantizing adds.
_LEAST_COSINE = {"fp32": 0.9999}
_LEAST_COSINE_OF_OTHERS = 0.95
# What answers are compared on: a whole cell of 32 x 512 tokens would take longer than timing it.
_CHECKED_TOKENS = 512


@dataclass(frozen=True)
class Pair:
    """Both models in one engine, as they were measured."""

    task: str
    engine: str
    precision: str
    comparison: Comparison
    cells: tuple[Cell, ...]
    overall: Overall


@dataclass(frozen=True)
class Found:
    """What was measured so far, and why what could not be was left out, by task and engine."""

    pairs: Sequence[Pair]
    left_out: Mapping[str, str]


@dataclass(frozen=True)
class Settings:
    """What is measured, and how."""

    tasks: list[str]
    engines: list[str]
    precision: str
    shapes: list[Shape]
    plan: Plan
    threads: int


def judge(engine: str, precision: str, comparison: Comparison, subjects: Subjects) -> Pair:
    """Judge what was measured so far."""
    cells = tuple(
        claim_verdict.cell(comparison, workload, subjects) for workload in comparison.workloads
    )
    whole = claim_verdict.overall(comparison, cells)
    return Pair(subjects.task, engine, precision, comparison, cells, whole)


class Claim:
    """The measurement: one pair after the other, each in a folder that is taken away again."""

    def __init__(self, models: Models, settings: Settings, folder: Path) -> None:
        """Take the models and what is asked; `folder` is an empty one."""
        self._models, self._settings, self._folder = models, settings, folder
        self._expected: dict[str, dict[str, answers.Answers]] = {}

    def pairs(self) -> list[tuple[str, str]]:
        """List the tasks and engines that are measured, in their order."""
        return [
            (task, engine) for task in self._settings.tasks for engine in self._settings.engines
        ]

    def measure(
        self,
        task: str,
        engine: str,
        *,
        progress: Callable[[str], None],
        keep: Callable[[Pair], None],
    ) -> Pair:
        """Measure one pair.

        Args:
            task: the task.
            engine: the engine.
            progress: called with what is done.
            keep: called after every round with what is known so far.

        Raises:
            DistilRobertaError: a model could not be made, or PyTorch could not run it.
        """
        settings, precision = self._settings, self._settings.precision
        title = f"{task}, {engine}"
        workloads = self._workloads(task)
        checked = [one for one in workloads if len(one.ids) * len(one.ids[0]) <= _CHECKED_TOKENS]
        checked = checked or self._workloads(task, [Shape(1, min(_lengths(settings.shapes)))])
        expected = self._right_answers(task, checked, progress)
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            sides: dict[str, Side] = {}
            for side in (DISTIL, BASE):
                progress(f"{title}: making {side}")
                place = Path(folder) / side
                sides[side] = self._models.side(side, task, engine, precision, place)
            progress(f"{title}: counting operations")
            layers = (self._models.layers(DISTIL, task), self._models.layers(BASE, task))
            subjects = Subjects(task, layers, self._works(task, sides))
            comparison = compare(
                [one.spec for one in sides.values()],
                workloads,
                settings.plan,
                least_cosine=_LEAST_COSINE.get(precision, _LEAST_COSINE_OF_OTHERS),
                expected=expected,
                checked=checked,
                progress=lambda step: progress(f"{title}: {step}"),
                keep=lambda found: keep(judge(engine, precision, found, subjects)),
            )
        return judge(engine, precision, comparison, subjects)

    def _workloads(self, task: str, shapes: Sequence[Shape] | None = None) -> list[Workload]:
        checkpoint = self._models.checkpoint(DISTIL, task)
        longest = ModelConfig.read(checkpoint / layout.CONFIG).max_length
        found = texts.workloads(
            checkpoint / layout.TOKENIZER, shapes or self._settings.shapes, longest
        )
        return found

    def _right_answers(
        self, task: str, checked: Sequence[Workload], progress: Callable[[str], None]
    ) -> dict[str, answers.Answers]:
        if task not in self._expected:
            right = {}
            for side in (DISTIL, BASE):
                progress(f"{task}: asking {side} in PyTorch")
                checkpoint = str(self._models.checkpoint(side, task))
                # In this process: nothing is timed now, and it has PyTorch loaded already.
                model = TorchModel(checkpoint, task, self._settings.threads)
                right[side] = answers.ask(model, checked)
            self._expected[task] = right
        return self._expected[task]

    def _works(self, task: str, sides: dict[str, Side]) -> dict[str, tuple[Work, Work]]:
        graphs = [sides[side].graph for side in (DISTIL, BASE)]
        if None in graphs:
            return {}
        # Texts are independent, so the work of many is that of one so many times.
        single = self._workloads(task, [Shape(1, n) for n in _lengths(self._settings.shapes)])
        counted = [work.count(graph, single) for graph in graphs if graph is not None]
        return {
            str(shape): (
                counted[0][str(Shape(1, shape.tokens))].times(shape.rows),
                counted[1][str(Shape(1, shape.tokens))].times(shape.rows),
            )
            for shape in self._settings.shapes
        }


def _lengths(shapes: Sequence[Shape]) -> list[int]:
    return sorted({shape.tokens for shape in shapes})


def verdict(pairs: Sequence[Pair]) -> str:
    """Say in one sentence what was found of the claim, over all cells of each pair."""
    told = {
        word: [_ratio_of(pair) for pair in pairs if pair.overall.verdict == word]
        for word in (
            terms.TWICE,
            terms.FASTER,
            terms.UNCLEAR,
            terms.SAME,
            terms.SLOWER,
        )
    }
    words = {
        terms.TWICE: "twice as fast as RoBERTa-base for {}",
        terms.FASTER: "faster, but not twice, for {}",
        terms.UNCLEAR: "not shown to be twice as fast for {}",
        terms.SAME: "no faster for {}",
        terms.SLOWER: "slower for {}",
    }
    parts = [words[word].format(_joined(found)) for word, found in told.items() if found]
    if not parts:
        return "Nothing was measured."
    return f"On this machine DistilRoBERTa is {'; '.join(parts)}."


def _joined(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _ratio_of(pair: Pair) -> str:
    assert pair.overall.ratio is not None  # it has a verdict
    return f"{pair.task} ({pair.engine}, {pair.precision}: {shown(pair.overall.ratio)} times)"


def shown(ratio: Ratio) -> str:
    """Return `estimate (low-high)`, with two decimals."""
    return f"{ratio.estimate:.2f} ({ratio.low:.2f}-{ratio.high:.2f})"


def _table(pair: Pair) -> Table:
    lengths = sorted({cell.tokens for cell in pair.cells})
    title = f"{pair.task}, {pair.engine}, {pair.precision}: RoBERTa-base's time by DistilRoBERTa's"
    table = Table("texts", title=title)
    for length in lengths:
        table.add_column(f"{length} tokens", justify="right")
    for rows in sorted({cell.rows for cell in pair.cells}):
        cells = {cell.tokens: cell for cell in pair.cells if cell.rows == rows}
        table.add_row(str(rows), *(_shown_cell(cells[n]) if n in cells else "" for n in lengths))
    return table


def _shown_cell(cell: Cell) -> str:
    if cell.ratio is None:
        return cell.verdict
    mark = "" if cell.verdict == terms.TWICE else f"\n{cell.verdict}"
    return f"{shown(cell.ratio)}{mark}"


def _show(found: Found) -> None:
    console = command_line.output()
    for pair in found.pairs:
        console.print(_table(pair))
        if pair.overall.ratio is not None:
            console.print(
                f"over all cells {shown(pair.overall.ratio)}: {pair.overall.verdict}", markup=False
            )
        if pair.overall.reason:
            console.print(f"why: {pair.overall.reason}", markup=False)
        for cell in pair.cells:
            if cell.warning:
                console.print(f"warning: {cell.workload}: {cell.warning}", markup=False)
        console.print()
    for name, reason in found.left_out.items():
        console.print(f"{name} was left out: {reason}", markup=False)
    console.print(verdict(found.pairs), markup=False)


def _warnings(found: Found) -> list[str]:
    told = [
        f"{pair.task}, {pair.engine}: {warning}"
        for pair in found.pairs
        for warning in pair.comparison.warnings
    ]
    rounds = {pair.comparison.plan.rounds for pair in found.pairs}
    return [*told, *(said for count in rounds for said in ratio_interval.few_rounds(count))]


def to_json(found: Found) -> dict[str, Any]:
    """Return the verdict and all pairs, as what `json.dumps` takes."""
    return {
        "verdict": verdict(found.pairs),
        "left_out": dict(found.left_out),
        "comparisons": [
            {
                "task": pair.task,
                "engine": pair.engine,
                "precision": pair.precision,
                **tables.measured(pair.comparison),
                "cells": [asdict(cell) for cell in pair.cells],
                "overall": asdict(pair.overall),
            }
            for pair in found.pairs
        ],
    }


def _engines(listed: str, precision: str) -> list[str]:
    names = command_line.words(listed, "--engines", ENGINES)
    found = [ENGINES[name] for name in names]
    for engine in found:
        if precision not in PRECISIONS[engine]:
            raise InputError(
                f"{engine} is measured in {', '.join(PRECISIONS[engine])}, found --precision "
                f"{precision}: take it out of --engines, or choose another precision"
            )
    return found


def main(
    tasks: str = typer.Option(",".join(TASKS), help="With commas between."),
    engines: str = typer.Option(
        "ours,usual", help=f"Of {', '.join(ENGINES)}, with commas between."
    ),
    precision: str = typer.Option("fp32", help="Of both models: fp32, fp16, int8 or int4."),
    lengths: str = typer.Option("8,32,128,512", help="Tokens of a text, with commas between."),
    batches: str = typer.Option("1,8,32", help="Texts in a call, with commas between."),
    weights: str = typer.Option(
        RANDOM,
        help=f"{RANDOM}, of the real shapes; {REAL}, from the model hub; or two checkpoints, "
        "folders or hub ids, with a comma between, DistilRoBERTa's first.",
    ),
    rounds: int = typer.Option(5, help="How many rounds are timed."),
    calls: int = typer.Option(20, help="Timed calls in a round, at the most."),
    seconds: float = typer.Option(0.2, help="How long they may take: fewer, if they are long."),
    warmup: int = typer.Option(2, help="Calls before them that are not timed, at the most."),
    seed: int = typer.Option(Plan.seed, help="Of the order in each round."),
    threads: int | None = typer.Option(
        None, help="Threads of each engine; by default the CPUs this process may use."
    ),
    json_path: Path | None = typer.Option(
        None, "--json", help="Where the results go; by default a new file in bench-results."
    ),
) -> None:
    """Is DistilRoBERTa twice as fast as RoBERTa-base? By task, length and batch, and why not."""
    shapes = [
        Shape(rows, tokens)
        for rows in command_line.numbers(batches, "--batches")
        for tokens in command_line.numbers(lengths, "--lengths")
    ]
    settings = Settings(
        tasks=command_line.words(tasks, "--tasks", TASKS),
        engines=_engines(engines, precision),
        precision=precision,
        shapes=shapes,
        plan=Plan(rounds=rounds, warmup=warmup, calls=calls, seed=seed, seconds=seconds),
        threads=command_line.threads(threads),
    )
    path = results_file.named(json_path, NAME)
    here = machine.describe(_PACKAGES)
    with tempfile.TemporaryDirectory() as folder:
        models = Models(weights, Path(folder) / "checkpoints", settings.threads)
        file = results_file.ResultsFile(
            path, NAME, here, threads=settings.threads, weights=models.weights
        )
        console = command_line.output()
        command_line.introduce(console, here, settings.threads, models.weights)
        console.print(f"every round is kept in {path}", markup=False)
        claim = Claim(models, settings, Path(folder))
        with (
            recorded(file, settings.threads, _show, to_json, _warnings) as keep,
            messages.status("starting") as status,
        ):
            done: list[Pair] = []
            left_out: dict[str, str] = {}
            for task, engine in claim.pairs():

                def so_far(pair: Pair) -> None:
                    keep(Found([*done, pair], left_out))

                try:
                    done.append(claim.measure(task, engine, progress=status.update, keep=so_far))
                except DistilRobertaError as error:  # the others may still be measured
                    left_out[f"{task}, {engine}"] = one_line(error)
            keep(Found(done, left_out))
