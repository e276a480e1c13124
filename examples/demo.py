"""Build a checkpoint in every variant, let each answer, and print one table.

Run it with `make demo`, or `make demo CHECKPOINT=folder-or-hub-id`. Load time and latency are those
of this process: a first look, not a benchmark (that is `make bench`). Latency is the median over
the inputs of the table, each answered alone.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import typer
from rich.console import Console
from rich.table import Table
from transformers import pipeline as transformers_pipeline
from transformers.utils import logging as transformers_logging

from distilroberta.export import build
from distilroberta.export.source import resolve
from distilroberta.runtime import Artifact, DistilRobertaError, pipeline
from distilroberta.runtime.manifest import Agreement

# By the task of the checkpoint: zero-shot-classification runs on one for text-classification.
INPUTS: Mapping[str, tuple[Any, ...]] = {
    "fill-mask": (
        "Paris is the <mask> of France.",
        "The President of the United <mask> spoke to the Congress.",
        "She did not <mask> what to say.",
    ),
    "text-classification": (
        "What a wonderful evening, the food and the music were perfect!",
        "The second half of the film is far too long.",
    ),
    "token-classification": (
        "Marie Curie worked in Paris for most of her life.",
        "The committee will meet Acme Steel in London next week.",
    ),
    "question-answering": (
        {
            "question": "Where did Marie Curie work?",
            "context": "Marie Curie worked in Paris for most of her life.",
        },
        {
            "question": "When will the committee meet?",
            "context": "The committee will meet in London next week.",
        },
    ),
    "feature-extraction": (
        "Paris is the capital of France.",
        "The second half of the film is far too long.",
    ),
}
_PARAMETERS: Mapping[str, dict[str, str]] = {
    "token-classification": {"aggregation_strategy": "simple"}
}
# Where an answer of each task has its words.
_WORDS = ("label", "token_str", "entity_group", "answer")
_ROUNDS = 20
_MILLISECONDS = 1000
_SHOWN = 3


def demo(checkpoint: str = typer.Argument("examples/mini", help="A folder or a hub id.")) -> None:
    """Build a checkpoint in every variant and show what each answers."""
    console = Console()
    try:
        found = resolve(checkpoint)
        output = Path("build") / "demo" / found.name.replace("/", "--")
        with console.status("starting") as status:
            artifact = build(checkpoint, output, force=True, progress=status.update)
        console.print(_table(artifact, str(found.folder)))
    except DistilRobertaError as error:
        print(f"demo: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    console.print(f"The artifact is in {output}. Ask it something of your own:", soft_wrap=True)
    console.print(
        f"  .venv/bin/distilroberta predict {output} {_words(artifact.task)}", soft_wrap=True
    )


def _words(task: str) -> str:
    # What to type behind `predict` and the artifact.
    asked = INPUTS[task][0]
    if task == "question-answering":
        return f'"{asked["context"]}" --question "{asked["question"]}"'
    options = [f"--{name.replace('_', '-')} {value}" for name, value in _parameters(task).items()]
    return " ".join([f'"{asked}"', *options])


def _parameters(task: str) -> dict[str, str]:
    return _PARAMETERS.get(task, {})


def _table(artifact: Artifact, checkpoint: str) -> Table:
    task = artifact.task
    inputs, parameters = INPUTS[task], _parameters(task)
    table = Table(title="\n".join(map(_title, inputs)), title_justify="left", show_lines=True)
    for column in ("variant", "MB", "load", "latency", "top answers", "beside PyTorch"):
        table.add_column(column, justify="right" if column in {"MB", "load", "latency"} else "left")
    reference = _timed(lambda: _pytorch(task, checkpoint))
    table.add_row("PyTorch", _megabytes(Path(checkpoint)), *_row(*reference, inputs), "")
    for name in artifact.variants:
        loaded = _timed(
            lambda name=name: pipeline(None, artifact, variant=name, provider="cpu", **parameters)
        )
        table.add_row(
            name,
            f"{artifact.bytes_of(name) / 1e6:.1f}",
            *_row(*loaded, inputs),
            _agreement(artifact.variant(name).agreement),
        )
    return table


def _title(asked: Any) -> str:
    return asked if isinstance(asked, str) else f"{asked['question']} {asked['context']}"


def _agreement(found: Agreement) -> str:
    if found.same_top is None:
        return f"cosine {found.cosine:.6f}"
    return f"same top answer:\n{found.same_top:.1%} of {found.rows}"


def _pytorch(task: str, checkpoint: str) -> Any:
    transformers_logging.set_verbosity_error()  # it tells which device it takes
    # Not the FP16 a checkpoint may be stored in: FP32 is what every variant is compared with.
    return transformers_pipeline(
        task, checkpoint, device="cpu", dtype=torch.float32, **_parameters(task)
    )


def _timed(make: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    return make(), time.perf_counter() - start


def _row(pipe: Any, load: float, inputs: tuple[Any, ...]) -> tuple[str, str, str]:
    times = []
    for _ in range(_ROUNDS):
        for asked in inputs:
            start = time.perf_counter()
            _ask(pipe, asked)
            times.append(time.perf_counter() - start)
    answers = "\n".join(_top(_ask(pipe, asked)) for asked in inputs)
    latency = statistics.median(times) * _MILLISECONDS
    return f"{load * _MILLISECONDS:.0f} ms", f"{latency:.1f} ms", answers


def _ask(pipe: Any, asked: Any) -> Any:
    return pipe(asked) if isinstance(asked, str) else pipe(**asked)


def _top(answer: Any) -> str:
    answers = [answer] if isinstance(answer, dict) else answer
    if not answers:
        return "none"
    if isinstance(answers[0], list):  # hidden states, [1][tokens][hidden]
        values = " ".join(f"{value:.2f}" for value in answers[0][0][:_SHOWN])
        return f"{len(answers[0])} x {len(answers[0][0])}: {values} ..."
    shown = [next(row[key] for key in _WORDS if key in row).strip() for row in answers[:_SHOWN]]
    scored = f"{shown[0]} ({answers[0]['score']:.2f})"
    return ", ".join([scored, *shown[1:]])


def _megabytes(folder: Path) -> str:
    return f"{sum(path.stat().st_size for path in folder.glob('*.safetensors')) / 1e6:.1f}"


if __name__ == "__main__":
    typer.run(demo)
