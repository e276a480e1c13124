"""Build a checkpoint in every variant, let each answer, and print one table.

Run it with `make demo`, or `make demo CHECKPOINT=folder-or-hub-id`. Load time and latency are those
of this process: a first look, not a benchmark (that is `make bench`). Latency is the median over
the sentences of the table, each answered alone.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import typer
from rich.console import Console
from rich.table import Table
from transformers import pipeline as transformers_pipeline
from transformers.utils import logging as transformers_logging

from distilroberta.export import build
from distilroberta.export.checkpoint import task_of
from distilroberta.export.source import resolve
from distilroberta.runtime import Artifact, DistilRobertaError, InputError, pipeline

SENTENCES = {
    "fill-mask": (
        "Paris is the <mask> of France.",
        "The President of the United <mask> spoke to the Congress.",
        "She did not <mask> what to say.",
    ),
    "text-classification": (
        "What a wonderful evening, the food and the music were perfect!",
        "The second half of the film is far too long.",
    ),
}
_ROUNDS = 20
_MILLISECONDS = 1000


def demo(checkpoint: str = typer.Argument("examples/mini", help="A folder or a hub id.")) -> None:
    """Build a checkpoint in every variant and show what each answers."""
    console = Console()
    try:
        found = resolve(checkpoint)
        _check(task_of(found))
        output = Path("build") / "demo" / found.name.replace("/", "--")
        with console.status("starting") as status:
            artifact = build(checkpoint, output, force=True, progress=status.update)
        console.print(_table(artifact, str(found.folder)))
    except DistilRobertaError as error:
        print(f"demo: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    console.print(f"The artifact is in {output}. Ask it something of your own:", soft_wrap=True)
    text = SENTENCES[artifact.task][0]
    console.print(f'  .venv/bin/distilroberta predict {output} "{text}"', soft_wrap=True)


def _check(task: str) -> None:
    if task not in SENTENCES:
        raise InputError(
            f"the checkpoint is for {task}, and pipelines are there for {' and '.join(SENTENCES)} "
            "only: build it with `distilroberta build`, and score it with `distilroberta evaluate`"
        )


def _table(artifact: Artifact, checkpoint: str) -> Table:
    sentences = SENTENCES[artifact.task]
    table = Table(title="\n".join(sentences), title_justify="left", show_lines=True)
    for column in (
        "variant",
        "MB",
        "load",
        "latency",
        "top answers",
        "same top answer\nas PyTorch",
    ):
        table.add_column(column, justify="right" if column in {"MB", "load", "latency"} else "left")
    reference = _timed(lambda: _pytorch(artifact.task, checkpoint))
    table.add_row("PyTorch", _megabytes(Path(checkpoint)), *_row(*reference, sentences), "")
    for name in artifact.variants:
        entry = artifact.variant(name)
        agreement = f"{entry.agreement.same_top:.1%} of {entry.agreement.rows}"
        loaded = _timed(lambda name=name: pipeline(None, artifact, variant=name, provider="cpu"))
        table.add_row(
            name, f"{artifact.bytes_of(name) / 1e6:.1f}", *_row(*loaded, sentences), agreement
        )
    return table


def _pytorch(task: str, checkpoint: str) -> Any:
    transformers_logging.set_verbosity_error()  # it tells which device it takes
    # Not the FP16 a checkpoint may be stored in: FP32 is what every variant is compared with.
    return transformers_pipeline(task, checkpoint, device="cpu", dtype=torch.float32)


def _timed(make: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    return make(), time.perf_counter() - start


def _row(pipe: Any, load: float, sentences: tuple[str, ...]) -> tuple[str, str, str]:
    times = []
    for _ in range(_ROUNDS):
        for sentence in sentences:
            start = time.perf_counter()
            pipe(sentence)
            times.append(time.perf_counter() - start)
    answers = "\n".join(_top(pipe(sentence)) for sentence in sentences)
    latency = statistics.median(times) * _MILLISECONDS
    return f"{load * _MILLISECONDS:.0f} ms", f"{latency:.1f} ms", answers


def _top(answers: list[dict[str, Any]]) -> str:
    shown = [answer.get("label") or answer["token_str"].strip() for answer in answers[:3]]
    scored = f"{shown[0]} ({answers[0]['score']:.2f})"
    return ", ".join([scored, *shown[1:]])


def _megabytes(folder: Path) -> str:
    return f"{sum(path.stat().st_size for path in folder.glob('*.safetensors')) / 1e6:.1f}"


if __name__ == "__main__":
    typer.run(demo)
