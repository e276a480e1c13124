"""Classifying many texts: ours against transformers on PyTorch and optimum's INT8.

    distilroberta bench throughput [--checkpoint FOLDER --texts FILE]

A list of texts goes to a pipeline as a whole, each engine in a process of its own with the same
number of threads:

* ours INT8: `pipeline("text-classification", ..., variant="int8")(texts)` with its defaults;
* ours INT8, one by one: the same with `batch_size=1`, so that no answer depends on another text;
* ours FP32: the same with `variant="fp32"`;
* transformers: `transformers.pipeline` on PyTorch in FP32, with each of several batch sizes;
* optimum INT8: its export, quantized dynamically (see `optimum_export`), as its users run it:
  `ORTModelForSequenceClassification` in `transformers.pipeline`, with each of these batch sizes.

The texts come in the order of the file, and then sorted by length, longest first. The latter is
what a user of transformers can do to have less padding; ours does so by itself. "Times as fast" is
taken within each round, ours in the file's order, the other one with the batch size that had the
most texts per second: in the file's order too, which is what the bounds are for, and in either.

FILE is TSV, CSV, JSON lines or Parquet with a text and a label, as `distilroberta evaluate` reads
it. Without it the texts are those that quantizing calibrates on. Labels are not looked at here.

Before anything is timed, the labels that the engines give are compared with those of transformers
one by one. In FP32 they must all be the same, in INT8 97 % of them, or 90 % with random weights; an
engine with fewer is named and not timed. Rounds go from engine to engine in an order drawn
anew for each; a round is one call with all texts, and the first one is thrown away. Shown are
medians of the rounds and quartiles.

Without a checkpoint, random weights of DistilRoBERTa's shape are measured: see `checkpoints`. The
exit code does not depend on what was measured.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.table import Table

from distilroberta.bench.harness import command_line, interleave, machine, results_file, tables
from distilroberta.bench.harness.interleave import Interleaved, Key, Plan, Samples, Spread
from distilroberta.bench.harness.processes import Worker
from distilroberta.bench.harness.recorded import recorded
from distilroberta.bench.harness.results_file import ResultsFile
from distilroberta.bench.harness.suite import EngineSpec
from distilroberta.bench.harness.workload import Workload
from distilroberta.bench.models import optimum_export, subject
from distilroberta.bench.models.subject import Subject
from distilroberta.quantize import calibration_text
from distilroberta.quantize.quality import readers
from distilroberta.quantize.quality.examples import TextExample
from distilroberta.runtime.command_line import messages
from distilroberta.runtime.errors import InputError

NAME = "throughput"
OURS = "ours INT8"
TRANSFORMERS, OPTIMUM = "transformers", "optimum INT8"
# How many times as fast ours is meant to be.
BOUNDS = {TRANSFORMERS: 4.5, OPTIMUM: 2.0}
# The share of INT8's labels that must be those of FP32. Random weights tell labels less far apart
# than trained ones do.
LEAST_AGREEMENT = 0.97
LEAST_AGREEMENT_OF_RANDOM_WEIGHTS = 0.9
_ENGINES = "distilroberta.bench.engines.text_engines"
_TASK = "text-classification"
_VARIANTS = ("fp32", "int8")
_IN_ORDER, _SORTED = "as in the file", "sorted by length"
_PACKAGES = ("optimum", "optimum-onnx", "transformers", "torch", "onnx")


@dataclass(frozen=True)
class Rival:
    """The engines of another library, one for each batch size, and how many times ours is meant."""

    name: str
    engines: tuple[EngineSpec, ...]
    bound: float


@dataclass(frozen=True)
class Measured:
    """What was measured.

    `agreement` is the share of texts an engine labels as the reference does, `refused` says of an
    engine that was not timed why, and `samples` are milliseconds of each round. `failed` says why
    an engine has none in an order of the texts.
    """

    workloads: tuple[Workload, ...]
    agreement: Mapping[str, float]
    refused: Mapping[str, str]
    samples: Samples
    failed: Mapping[Key, str] = field(default_factory=dict)

    def rates(self, engine: str, workload: Workload) -> list[float]:
        """Return the texts per second of each round; empty where it was not timed."""
        rounds = self.samples.get((engine, workload.name), [])
        return [1000 * len(workload.texts) / milliseconds for milliseconds in rounds]

    def best(
        self, engines: Sequence[EngineSpec], orders: Sequence[str] = (_IN_ORDER, _SORTED)
    ) -> tuple[str, str] | None:
        """Return the engine and the order with the most texts per second; None without any."""
        rounds = {
            key: Spread.of(self.samples[key]).median
            for key in itertools.product([engine.name for engine in engines], orders)
            if key in self.samples
        }
        return min(rounds, key=rounds.__getitem__, default=None)

    def speed(self, engine: str, rival: tuple[str, str]) -> Spread | None:
        """Return how many times as fast an engine is as a rival; None if it was not timed."""
        rounds = self.samples.get((engine, _IN_ORDER))
        return interleave.ratio(self.samples[rival], rounds) if rounds else None


def read_texts(path: Path | None) -> list[str]:
    """Return the texts of a file with labels, or those of the package.

    Raises:
        DataError: the file can't be read.
        InputError: it holds pairs of texts.
    """
    if path is None:
        return [text for text in calibration_text.Texts() if isinstance(text, str)]
    examples = readers.read(path, _TASK, lambda _: 0).examples
    found = [one for one in examples if isinstance(one, TextExample)]
    if any(one.pair is not None for one in found):
        raise InputError(f"{path} holds pairs of texts; throughput is measured with single ones")
    return [one.text for one in found]


def workloads(texts: Sequence[str]) -> tuple[Workload, Workload]:
    """Return the texts as they come, and sorted, longest first.

    They have no token ids: whole pipelines alone are measured.
    """
    by_length = sorted(texts, key=len, reverse=True)
    return Workload(_IN_ORDER, tuple(texts), (), ()), Workload(_SORTED, tuple(by_length), (), ())


def ours(measured: Subject, threads: int) -> list[EngineSpec]:
    """List our engines; the first one is the one that is compared."""
    variants: list[tuple[str, dict[str, Any]]] = [
        (OURS, {"variant": "int8"}),
        (f"{OURS}, one by one", {"variant": "int8", "batch_size": 1}),
        ("ours FP32", {"variant": "fp32"}),
    ]
    artifact = measured.artifact
    fixed = {"artifact": str(artifact.path), "threads": threads}
    return [
        EngineSpec(
            name,
            f"{_ENGINES}:ArtifactTexts",
            {**fixed, **arguments},
            artifact.bytes_of(arguments["variant"]),
        )
        for name, arguments in variants
    ]


def rivals(
    measured: Subject, optimum: optimum_export.Exported, sizes: Sequence[int], threads: int
) -> list[Rival]:
    """List the engines of the other libraries, transformers first."""
    quantized = optimum.untied / optimum_export.INT8
    fixed: dict[str, tuple[str, dict[str, Any]]] = {
        TRANSFORMERS: ("TransformersTexts", {"checkpoint": str(measured.checkpoint)}),
        OPTIMUM: ("OptimumTexts", {"folder": str(optimum.untied), "file": quantized.name}),
    }
    return [
        Rival(
            name,
            tuple(
                EngineSpec(
                    f"{name}, {size} at once",
                    f"{_ENGINES}:{engine}",
                    {**arguments, "threads": threads, "batch_size": size},
                    0,
                )
                for size in sizes
            ),
            BOUNDS[name],
        )
        for name, (engine, arguments) in fixed.items()
    ]


def agreement(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Return the share of texts whose best label is the same; both are (texts, labels).

    An array of another shape agrees nowhere.
    """
    if found.shape != expected.shape:
        return 0.0
    return float((found.argmax(axis=1) == expected.argmax(axis=1)).mean())


def measure(
    specs: Sequence[EngineSpec],
    exact: Sequence[str],
    texts: tuple[Workload, ...],
    plan: Plan,
    *,
    reference: str,
    least_agreement: float,
    progress: Callable[[str], None] = lambda _: None,
    keep: Callable[[Measured], None] = lambda _: None,
) -> Measured:
    """Load the engines, compare their labels on the first workload, and time them.

    Args:
        specs: the engines.
        exact: names of those that must give the reference's label for every text.
        texts: what they are timed on.
        plan: how much is measured.
        reference: the name of the engine whose labels are right.
        least_agreement: the share of labels of the other engines that must be as the reference's.
        progress: called with what is done.
        keep: called after each round with what is known so far.

    Raises:
        WorkerError: an engine could not be loaded, or not be asked for its labels.
    """
    with ExitStack() as stack:
        workers = []
        for spec in specs:
            progress(f"loading {spec.name}")
            worker = Worker(spec.name, spec.engine, spec.arguments, interpreter=spec.interpreter)
            workers.append(stack.enter_context(worker))
        answers = {}
        for worker in workers:
            progress(f"comparing the labels of {worker.name}")
            answers[worker.name] = worker.answer(texts[0])
        shares = {name: agreement(found, answers[reference]) for name, found in answers.items()}
        bounds = {name: 1.0 if name in exact else least_agreement for name in shares}
        refused = {
            name: f"{100 * share:.1f} % of its labels are those of {reference}, must be "
            f"{100 * bounds[name]:g} % or more"
            for name, share in shares.items()
            if share < bounds[name]
        }
        timed = [worker for worker in workers if worker.name not in refused]
        run = Interleaved(timed, texts, plan, progress=progress)
        for number in run.rounds():
            if number:
                keep(Measured(texts, shares, refused, run.samples(), dict(run.failed)))
    return Measured(texts, shares, refused, run.samples(), run.failed)


def _table(measured: Measured) -> Table:
    count = len(measured.workloads[0].texts)
    rounds = max(map(len, measured.samples.values()), default=0)
    title = f"{count} texts, texts per second: median of {rounds} rounds (25 %-75 %)"
    table = Table("engine", title=title)
    for name in ("same labels", *(workload.name for workload in measured.workloads)):
        table.add_column(name, justify="right")
    for engine, share in measured.agreement.items():
        rates = [measured.rates(engine, workload) for workload in measured.workloads]
        cells = (tables.spread(Spread.of(rate)) if rate else "-" for rate in rates)
        table.add_row(engine, f"{100 * share:.1f} %", *cells)
    return table


def verdict(measured: Measured, rival: Rival) -> str:
    """Say how many times as fast ours is as another library's best, and if that is enough."""
    in_order = measured.best(rival.engines, (_IN_ORDER,))
    speed = None if in_order is None else measured.speed(OURS, in_order)
    if in_order is None or speed is None:
        return f"{OURS} against {rival.name}: one of them was not timed, no verdict"
    kept = "within" if speed.median >= rival.bound else "below"
    said = (
        f"{OURS} is {tables.quartiles(speed)} times as fast as {', '.join(in_order)}: {kept} the "
        f"bound of {rival.bound:g} times"
    )
    best = measured.best(rival.engines)
    fastest = None if best is None else measured.speed(OURS, best)
    if best is None or fastest is None or best == in_order:
        return said
    return f"{said}; {tables.quartiles(fastest)} times as {', '.join(best)}"


def to_json(measured: Measured, others: Sequence[Rival]) -> dict[str, Any]:
    """Return every round, as what `json.dumps` takes."""
    bests = {rival.name: measured.best(rival.engines) for rival in others}
    speeds = {name: best and measured.speed(OURS, best) for name, best in bests.items()}
    return {
        "texts": len(measured.workloads[0].texts),
        "engines": {
            engine: {
                "same_labels": share,
                "refused": measured.refused.get(engine),
                "failed": {
                    order: why for (one, order), why in measured.failed.items() if one == engine
                },
                "texts_per_second": {
                    workload.name: measured.rates(engine, workload)
                    for workload in measured.workloads
                },
            }
            for engine, share in measured.agreement.items()
        },
        "times_as_fast_as": {
            name: {"best": bests[name], **asdict(speed)} for name, speed in speeds.items() if speed
        },
        "verdict": "; ".join(verdict(measured, rival) for rival in others),
    }


def main(
    checkpoint: Path | None = typer.Option(
        None, help="A classification checkpoint; random weights of DistilRoBERTa's shape without."
    ),
    artifact: Path | None = typer.Option(
        None, help="Its artifact, with fp32 and int8; built without."
    ),
    texts_file: Path | None = typer.Option(
        None, "--texts", help="A file of texts with labels; the package's texts without."
    ),
    batch_sizes: str = typer.Option(
        "1,8,16,32,64", help="Batch sizes of the other libraries, with commas between."
    ),
    rounds: int = typer.Option(7, help="How many rounds are timed."),
    seed: int = typer.Option(Plan.seed, help="Of the order of the engines in each round."),
    threads: int | None = typer.Option(
        None, help="Threads of each engine; by default the CPUs this process may use."
    ),
    json_path: Path | None = typer.Option(None, "--json", help="Also write everything here."),
) -> None:
    """Tell how many texts a second are classified, beside transformers and optimum."""
    results_file.check(json_path)
    plan = Plan(rounds=rounds, warmup=0, calls=1, seed=seed)
    sizes = command_line.numbers(batch_sizes, "--batch-sizes")
    count = command_line.threads(threads)
    both = workloads(read_texts(texts_file))
    here = machine.describe(_PACKAGES)
    weights = subject.weights(checkpoint)
    scheme = optimum_export.INT8_SCHEME
    file = ResultsFile(json_path, NAME, here, threads=count, weights=weights, scheme=scheme)
    with tempfile.TemporaryDirectory() as folder:
        made = subject.with_checkpoint(_TASK, checkpoint, artifact, _VARIANTS, Path(folder))
        with messages.status("exporting with optimum"):
            optimum = optimum_export.export(made.checkpoint, Path(folder) / "optimum", _TASK)
        own, others = ours(made, count), rivals(made, optimum, sizes, count)
        pytorch = [engine.name for engine in others[0].engines]

        def show(measured: Measured) -> None:
            console = command_line.output()
            command_line.introduce(console, here, count, weights)
            console.print(f"{OPTIMUM}: {scheme}", markup=False)
            _print(measured, others)

        with (
            recorded(file, count, show, lambda measured: to_json(measured, others)) as keep,
            messages.status("starting") as status,
        ):
            measure(
                [*own, *(engine for rival in others for engine in rival.engines)],
                [own[-1].name, *pytorch],
                both,
                plan,
                reference=pytorch[0],
                least_agreement=(
                    LEAST_AGREEMENT if checkpoint else LEAST_AGREEMENT_OF_RANDOM_WEIGHTS
                ),
                progress=status.update,
                keep=keep,
            )


def _print(measured: Measured, others: Sequence[Rival]) -> None:
    console = command_line.output()
    console.print(_table(measured))
    for engine, problem in measured.refused.items():
        console.print(f"{engine} was not timed: {problem}", markup=False)
    for (engine, order), problem in measured.failed.items():
        console.print(f"{engine} failed at the texts {order}: {problem}", markup=False)
    for rival in others:
        console.print(verdict(measured, rival), markup=False)
