"""How long a fresh process takes to its first answer, of fill-mask with one short text.

    distilroberta bench cold-start [--checkpoint FOLDER [--artifact FOLDER]]

Each engine is started anew for every round, in an order drawn anew for each:

* ours INT8: `from distilroberta.runtime import pipeline`, load, first answer;
* bare onnxruntime: onnxruntime and tokenizers on the files ours reads, with nothing around them:
  what is left to save;
* transformers: `transformers.pipeline` on PyTorch, in FP32, from the same checkpoint.

Seconds are from the first import to the first answer; the interpreter's own start, which takes as
long for anything written in Python, has a column of its own. A first round is thrown away: it
compiles to bytecode and fills the page cache. "Tokenizer" and "session" are parts of "load"; where
an engine does both at once, their sum is more than it. Ratios are taken inside a round.

Before anything is timed, the engines are asked for the scores of the whole vocabulary, and one
whose logits have too low a cosine to those of transformers is named and not timed.

Without a checkpoint, random weights of DistilRoBERTa's shape are measured: see `checkpoints`. The
exit code does not depend on what was measured.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.table import Table

from distilroberta.bench.errors import BenchError
from distilroberta.bench.harness import (
    answers,
    command_line,
    fresh_process,
    log_scores,
    machine,
    results_file,
    tables,
)
from distilroberta.bench.harness.interleave import Plan, Spread, ratio
from distilroberta.bench.harness.recorded import recorded
from distilroberta.bench.harness.results_file import ResultsFile
from distilroberta.bench.harness.workload import Shape
from distilroberta.bench.models import subject, texts
from distilroberta.bench.models.subject import Subject
from distilroberta.quantize import int8
from distilroberta.runtime import layout
from distilroberta.runtime.command_line import messages
from distilroberta.runtime.tasks.model_config import ModelConfig

NAME = "cold-start"
BOUND_SECONDS = 0.45
BOUND_TIMES = 10
LEAST_COSINE = int8.RECIPE.lowest_cosine
OURS, BARE, TRANSFORMERS = "ours INT8", "bare onnxruntime", "transformers"
_CHILD = "distilroberta.bench.costs.first_answer"
_TASK = "fill-mask"
_VARIANT = "int8"
_TOKENS = 16
_TOP_K = 5
_PATIENCE_SECONDS = 120
_PACKAGES = ("transformers", "torch")
# As `first_answer` names them.
_BEFORE = "interpreter"
_STAGES = ("imports", "load", "first answer")
_PARTS = ("tokenizer", "session")


@dataclass(frozen=True)
class Start:
    """One process: the seconds of its stages and parts, and token ids with their scores."""

    seconds: dict[str, float]
    parts: dict[str, float]
    answer: list[tuple[int, float]]

    @property
    def total(self) -> float:
        """Seconds from the first import to the first answer."""
        return sum(self.seconds[stage] for stage in _STAGES)


# Starts an engine, by name, and asks it for so many tokens.
Starter = Callable[[str, int], Start]


@dataclass(frozen=True)
class Measured:
    """The processes of all rounds, by engine, and for each engine left out what is wrong."""

    starts: dict[str, list[Start]]
    refused: dict[str, str]

    def totals(self, engine: str) -> list[float]:
        """Return the seconds of each round."""
        return [start.total for start in self.starts[engine]]

    def speed(self) -> Spread | None:
        """Return how many times as fast ours starts as transformers; None without ours."""
        if OURS not in self.starts:
            return None
        return ratio(self.totals(TRANSFORMERS), self.totals(OURS))


def starter(measured: Subject, text: str, threads: int) -> Starter:
    """Return what starts an engine on the files of a checkpoint and its artifact."""
    artifact = measured.artifact
    graph = artifact.file(artifact.variant(_VARIANT).graph)
    files = {
        OURS: ("ours", artifact.path),
        BARE: ("bare", graph, artifact.file(layout.TOKENIZER)),
        TRANSFORMERS: ("transformers", measured.checkpoint),
    }

    def start(engine: str, top_k: int) -> Start:
        function, *paths = files[engine]
        arguments = [str(threads), str(top_k), text, *map(str, paths)]
        begun = repr(time.monotonic())
        found = list(
            fresh_process.lines(
                engine, _CHILD, str(function), begun, *arguments, patience=_PATIENCE_SECONDS
            )
        )
        if len(found) != 1:
            raise BenchError(f"{engine}: wrote {len(found)} results, must be 1")
        return Start(**found[0])

    return start


def check(start: Starter, vocabulary: int) -> dict[str, str]:
    """Compare the engines' scores of the whole vocabulary; return what is wrong with which.

    Raises:
        WorkerError: an engine failed.
    """
    expected = _logits(start(TRANSFORMERS, vocabulary), vocabulary)
    refused = {}
    for engine in (OURS, BARE):
        found = answers.cosine(_logits(start(engine, vocabulary), vocabulary), expected)
        if not found >= LEAST_COSINE:  # also where it is not a number
            refused[engine] = (
                f"the cosine of its logits is {found:.4f}, must be {LEAST_COSINE} or more"
            )
    return refused


def _logits(start: Start, vocabulary: int) -> NDArray[np.float32]:
    scores = np.zeros((1, vocabulary))
    for token, score in start.answer:
        scores[0, token] = score
    return log_scores.logits(scores)


def measure(
    start: Starter,
    vocabulary: int,
    rounds: int,
    *,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _: None,
    keep: Callable[[Measured], None] = lambda _: None,
) -> Measured:
    """Check the engines, then start each once in every round, after one round that is left out.

    Args:
        start: starts an engine.
        vocabulary: how many tokens the engines score.
        rounds: how many count.
        seed: of the order.
        progress: called with what is done.
        keep: called after each round with what is known so far.

    Raises:
        WorkerError: an engine failed.
    """
    progress("comparing the answers")
    refused = check(start, vocabulary)
    engines = [engine for engine in (OURS, BARE, TRANSFORMERS) if engine not in refused]
    order = random.Random(seed)  # noqa: S311 - an order, no secret
    measured = Measured({engine: [] for engine in engines}, refused)
    for number in range(rounds + 1):
        progress(f"round {number} of {rounds}")
        found = {engine: start(engine, _TOP_K) for engine in order.sample(engines, len(engines))}
        if number:
            starts = {engine: [*measured.starts[engine], found[engine]] for engine in engines}
            measured = Measured(starts, refused)
            keep(measured)
    return measured


def _table(measured: Measured) -> Table:
    rounds = len(next(iter(measured.starts.values())))
    title = f"seconds of a fresh process, median of {rounds} (25 %-75 %)"
    table = Table("engine", title=title)
    columns = (_BEFORE, *_STAGES[:2], *(f"of it {part}" for part in _PARTS), _STAGES[2])
    for name in (*columns, "first import to first answer"):
        table.add_column(name, justify="right")
    for engine, starts in measured.starts.items():
        cells = [
            *(
                _medians([start.seconds.get(stage) for start in starts])
                for stage in (_BEFORE, *_STAGES[:2])
            ),
            *(_medians([start.parts.get(part) for start in starts]) for part in _PARTS),
            _medians([start.seconds.get(_STAGES[2]) for start in starts]),
        ]
        table.add_row(engine, *cells, tables.spread(Spread.of(measured.totals(engine))))
    return table


def _medians(seconds: Sequence[float | None]) -> str:
    known = [one for one in seconds if one is not None]
    return f"{Spread.of(known).median:.3f}" if known else "-"


def verdict(measured: Measured) -> str:
    """Say whether ours keeps its bounds."""
    speed = measured.speed()
    if speed is None:
        return f"{OURS} was not timed: no verdict"
    seconds = Spread.of(measured.totals(OURS)).median
    fast = "within" if seconds <= BOUND_SECONDS else "above"
    faster = "within" if speed.median >= BOUND_TIMES else "below"
    return (
        f"{OURS}: {seconds:.3f} s, {fast} the bound of {BOUND_SECONDS} s; "
        f"{tables.quartiles(speed)} times as fast as {TRANSFORMERS}, {faster} the bound of "
        f"{BOUND_TIMES} times"
    )


def to_json(measured: Measured) -> dict[str, Any]:
    """Return every process of every round, as what `json.dumps` takes."""
    speed = measured.speed()
    return {
        "engines": {
            engine: {
                "seconds": asdict(Spread.of(measured.totals(engine))),
                "stages": {
                    stage: asdict(Spread.of([start.seconds[stage] for start in starts]))
                    for stage in _STAGES
                },
                "rounds": [{"stages": start.seconds, "parts": start.parts} for start in starts],
            }
            for engine, starts in measured.starts.items()
        },
        "refused": measured.refused,
        "times_as_fast_as_transformers": None if speed is None else asdict(speed),
        "verdict": verdict(measured),
    }


def main(
    checkpoint: Path | None = typer.Option(
        None, help="A fill-mask checkpoint; random weights of DistilRoBERTa's shape without."
    ),
    artifact: Path | None = typer.Option(None, help="Its artifact; built without."),
    rounds: int = typer.Option(15, help="How many processes of each kind are timed."),
    seed: int = typer.Option(Plan.seed, help="Of the order of the engines in each round."),
    threads: int | None = typer.Option(
        None, help="Threads of each engine; by default the CPUs this process may use."
    ),
    json_path: Path | None = typer.Option(None, "--json", help="Also write everything here."),
) -> None:
    """Tell how long a fresh process takes to its first answer, beside transformers."""
    results_file.check(json_path)
    plan = Plan(rounds=rounds, seed=seed)
    count = command_line.threads(threads)
    here = machine.describe(_PACKAGES)
    weights = subject.weights(checkpoint)
    file = ResultsFile(json_path, NAME, here, threads=count, weights=weights, tokens=_TOKENS)

    def show(measured: Measured) -> None:
        console = command_line.output()
        command_line.introduce(console, here, count, weights)
        console.print(f"one text of {_TOKENS} tokens", markup=False)
        console.print(_table(measured))
        for engine, problem in measured.refused.items():
            console.print(f"{engine} was not timed: {problem}", markup=False)
        console.print(verdict(measured), markup=False)

    with tempfile.TemporaryDirectory() as folder:
        made = subject.with_checkpoint(_TASK, checkpoint, artifact, [_VARIANT], Path(folder))
        (workload,) = texts.of_artifact(made.artifact, [Shape(1, _TOKENS)])
        vocabulary = ModelConfig.read(made.artifact.file(layout.CONFIG)).vocab_size
        start = starter(made, workload.texts[0], count)
        with recorded(file, count, show, to_json) as keep, messages.status("starting") as status:
            measure(
                start, vocabulary, plan.rounds, seed=plan.seed, progress=status.update, keep=keep
            )
