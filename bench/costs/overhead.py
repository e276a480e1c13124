"""What a call of ours costs beside onnxruntime: tokenizing, arrays, scores, decoding.

    distilroberta bench overhead [ARTIFACT ...] [--lengths 16,128]

Each artifact's pipeline runs in a process of its own, INT8, one text in a call. "Session" is the
time inside `onnxruntime.InferenceSession.run` of the same call, "rest" what is left of it, and the
share is the rest of the whole call. "Tokenize" is part of the rest: `tokenizers` alone on the same
text, timed by itself right after a call. Rounds go over the lengths in an order drawn anew for
each; a round is some warm-up calls and the median of some timed ones; the first round is thrown
away. Shares are taken inside a round; shown are medians of the rounds and quartiles.

Without an artifact, random weights of DistilRoBERTa's shape are measured, for fill-mask and for
text-classification: see `checkpoints`. The exit code does not depend on what was measured.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import typer
from rich.table import Table

from distilroberta.bench.harness import command_line, fresh_process, machine, results_file, tables
from distilroberta.bench.harness.interleave import Plan, Spread
from distilroberta.bench.harness.recorded import recorded
from distilroberta.bench.harness.results_file import ResultsFile
from distilroberta.bench.harness.workload import Shape, Workload
from distilroberta.bench.models import subject, texts
from distilroberta.runtime import Artifact, layout
from distilroberta.runtime.command_line import messages

NAME = "overhead"
BOUND_PERCENT = 10
BOUND_TOKENS = 16  # of a text, from which on the bound holds
_CHILD = "distilroberta.bench.costs.call_parts"
_TASKS = ("fill-mask", "text-classification")
_VARIANT = "int8"
_PARTS = ("call", "session", "rest", "tokenize")


@dataclass(frozen=True)
class Parts:
    """The milliseconds of a call and of its parts, by `call_parts`' names, and the rest's share.

    `percent` is of the whole call.
    """

    milliseconds: Mapping[str, Spread]
    percent: Spread


def measure(
    artifact: Artifact,
    workloads: Sequence[Workload],
    plan: Plan,
    threads: int,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Parts]:
    """Time calls of an artifact's pipeline in a fresh process, by workload name.

    Raises:
        WorkerError: the process failed.
    """
    asked = {
        "artifact": str(artifact.path),
        "tokenizer": str(artifact.file(layout.TOKENIZER)),
        "variant": _VARIANT,
        "threads": threads,
        "texts": {workload.name: workload.texts[0] for workload in workloads},
        "rounds": plan.rounds + 1,
        "warmup": plan.warmup,
        "calls": plan.calls,
        "seed": plan.seed,
    }
    rounds: list[dict[str, dict[str, float]]] = []
    for found in fresh_process.lines(artifact.task, _CHILD, json.dumps(asked)):
        rounds.append(found)
        progress(f"{artifact.task}: round {len(rounds) - 1} of {plan.rounds}")
    return {
        workload.name: parts([found[workload.name] for found in rounds[1:]])
        for workload in workloads
    }


def parts(rounds: Sequence[Mapping[str, float]]) -> Parts:
    """Summarize rounds of milliseconds."""
    return Parts(
        {name: Spread.of([one[name] for one in rounds]) for name in _PARTS},
        Spread.of([100 * one["rest"] / one["call"] for one in rounds]),
    )


def _table(found: Mapping[str, Mapping[str, Parts]], rounds: int) -> Table:
    title = f"one text, milliseconds: median of {rounds} rounds (25 %-75 %)"
    table = Table("task", "text", title=title)
    for name in (*_PARTS, "rest, % of the call"):
        table.add_column(name, justify="right")
    for task, measured in found.items():
        for length, one in measured.items():
            cells = (tables.spread(one.milliseconds[name]) for name in _PARTS)
            table.add_row(task, length, *cells, tables.spread(one.percent))
    return table


def verdict(found: Mapping[str, Mapping[str, Parts]], length: str) -> str:
    """Say which tasks keep the bound at a length, by its name."""
    said = [
        f"{task} {measured[length].percent.median:.1f} %, "
        f"{'within' if measured[length].percent.median < BOUND_PERCENT else 'above'}"
        for task, measured in found.items()
    ]
    return f"bound of {BOUND_PERCENT} % beside the session at {length}: {'; '.join(said)}"


def to_json(found: Mapping[str, Mapping[str, Parts]]) -> dict[str, Any]:
    """Return all parts as what `json.dumps` takes."""
    tasks = {
        task: {length: asdict(one) for length, one in measured.items()}
        for task, measured in found.items()
    }
    return {"tasks": tasks}


def main(
    artifacts: list[Path] | None = typer.Argument(
        None,
        help="Artifacts for fill-mask or text-classification; random weights without.",
    ),
    lengths: str = typer.Option("16,128", help="Tokens of the texts, with commas between."),
    rounds: int = typer.Option(Plan.rounds, help="How many rounds are timed."),
    calls: int = typer.Option(20, help="Timed calls in a round."),
    warmup: int = typer.Option(5, help="Calls before them that are not timed."),
    seed: int = typer.Option(Plan.seed, help="Of the order of the lengths in each round."),
    threads: int | None = typer.Option(
        None, help="Threads of the pipeline; by default the CPUs this process may use."
    ),
    json_path: Path | None = typer.Option(None, "--json", help="Also write everything here."),
) -> None:
    """Tell how much of a call is not onnxruntime's: tokenizing, arrays, scores, decoding."""
    results_file.check(json_path)
    plan = Plan(rounds=rounds, warmup=warmup, calls=calls, seed=seed)
    shapes = [Shape(1, tokens) for tokens in command_line.numbers(lengths, "--lengths")]
    count = command_line.threads(threads)
    here = machine.describe()
    weights = ", ".join(path.name for path in artifacts) if artifacts else subject.weights(None)
    file = ResultsFile(json_path, NAME, here, threads=count, weights=weights)
    found: dict[str, Mapping[str, Parts]] = {}

    def show(found: Mapping[str, Mapping[str, Parts]]) -> None:
        console = command_line.output()
        command_line.introduce(console, here, count, weights)
        console.print(_table(found, rounds))
        bound = str(Shape(1, BOUND_TOKENS))
        if any(str(shape) == bound for shape in shapes):
            console.print(verdict(found, bound), markup=False)

    with tempfile.TemporaryDirectory() as folder:
        opened = (
            [subject.opened(path, _TASKS, [_VARIANT]) for path in artifacts]
            if artifacts
            else [subject.alone(task, None, [_VARIANT], Path(folder) / task) for task in _TASKS]
        )
        with recorded(file, count, show, to_json) as keep, messages.status("starting") as status:
            for one in opened:
                workloads = texts.of_artifact(one, shapes)
                name = one.task if not artifacts else f"{one.task}, {one.path.name}"
                found[name] = measure(one, workloads, plan, count, status.update)
                keep(found)
