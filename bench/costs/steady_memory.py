"""The memory of a fill-mask pipeline over thousands of calls, in a fresh process.

    distilroberta bench memory [--artifact FOLDER] [--calls 10000]

One process loads `pipeline("fill-mask", ..., variant="int8")` with its defaults and is called with
texts of 3 tokens up to what the model takes, on a logarithmic scale; one call in eight is a list of
2 to 8 texts, one text in eight has 2 to 4 masks: see `mixed_inputs`. The same seed gives the same
calls. onnxruntime keeps what it allocated for the shapes it saw, so memory that is not bounded
shows with many of them.

MB are 10^6 bytes of the process's memory in RAM, libraries included, and the file where it is
mapped. "Peak" is the most it ever had, as the system counts it. Growth is the slope of a straight
line through the samples of the last half of the calls, times 1,000.

Without an artifact, random weights of DistilRoBERTa's shape are measured: see `checkpoints`. The
exit code does not depend on what was measured.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
import typer
from rich.table import Table

from distilroberta.bench.errors import BenchError
from distilroberta.bench.harness import command_line, fresh_process, machine, results_file
from distilroberta.bench.harness.recorded import recorded
from distilroberta.bench.harness.results_file import ResultsFile
from distilroberta.bench.models import subject
from distilroberta.quantize import calibration_text
from distilroberta.runtime import Artifact, layout
from distilroberta.runtime.command_line import messages
from distilroberta.runtime.errors import InputError

NAME = "memory"
BOUND_BYTES = 200e6
_CHILD = "distilroberta.bench.costs.steady_calls"
_TASK = "fill-mask"
_VARIANT = "int8"
_SAMPLES = 100
_CORPUS_TOKENS = 2048
_PATIENCE_SECONDS = 4 * 3600


@dataclass(frozen=True)
class Sample:
    """The bytes in RAM after so many calls, and the most there ever were."""

    calls: int
    resident_bytes: int
    peak_bytes: int


def sampled(calls: int) -> list[int]:
    """Return after how many calls memory is looked at: evenly, and at powers of ten."""
    evenly = {calls * number // _SAMPLES for number in range(1, _SAMPLES + 1)} - {0}
    return sorted(evenly | {10**power for power in range(len(str(calls))) if 10**power <= calls})


def measure(
    artifact: Artifact,
    calls: int,
    threads: int,
    *,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _: None,
    keep: Callable[[list[Sample]], None] = lambda _: None,
) -> list[Sample]:
    """Call a pipeline in a fresh process; return its memory after loading and from then on.

    Args:
        artifact: what the pipeline runs.
        calls: how many.
        threads: of the pipeline.
        seed: of the texts.
        progress: called with what is done.
        keep: called with each further sample and those before it.

    Raises:
        WorkerError: the process failed.
        BenchError: this system does not tell the memory of a process.
    """
    tokenizer = tokenizers.Tokenizer.from_file(str(artifact.file(layout.TOKENIZER)))
    tokenizer.no_truncation()
    text = calibration_text.DEFAULT.read_text("utf-8")
    # What the process keeps to draw its texts from counts as its memory: no more than is needed.
    offsets = tokenizer.encode(text, add_special_tokens=False).offsets[:_CORPUS_TOKENS]
    asked = {
        "artifact": str(artifact.path),
        "variant": _VARIANT,
        "threads": threads,
        "text": text[: offsets[-1][1]],
        "offsets": offsets,
        "seed": seed,
        "samples": sampled(calls),
    }
    samples: list[Sample] = []
    found = fresh_process.lines("ours INT8", _CHILD, json.dumps(asked), patience=_PATIENCE_SECONDS)
    with closing(found):  # which ends the process, also after an interrupt
        for one in found:
            if "resident_bytes" not in one:
                raise BenchError(
                    "this system does not tell the memory of a process: run it on Linux"
                )
            samples = [*samples, Sample(**one)]
            progress(f"{samples[-1].calls} of {calls} calls")
            keep(samples)
    return samples


def growth(samples: Sequence[Sample]) -> int:
    """Return the bytes that memory grew by in 1,000 calls, over the last half of the calls.

    The slope is that of least squares; 0 where there are too few samples for one.
    """
    late = [one for one in samples if one.calls >= samples[-1].calls / 2]
    if len(late) < 2:
        return 0
    calls = np.array([one.calls for one in late], dtype=np.float64)
    sizes = np.array([one.resident_bytes for one in late], dtype=np.float64)
    slope = np.polynomial.Polynomial.fit(calls, sizes, 1).convert().coef[1]
    return round(1000 * float(slope))


def _table(samples: Sequence[Sample]) -> Table:
    table = Table("calls", title="memory of the process, MB")
    for name in ("resident", "peak so far"):
        table.add_column(name, justify="right")
    shown = {0, *(10**power for power in range(2, 10)), samples[-1].calls}
    for one in samples:
        if one.calls in shown:
            cells = (f"{size / 1e6:.1f}" for size in (one.resident_bytes, one.peak_bytes))
            table.add_row(f"{one.calls:,}" if one.calls else "none: loaded", *cells)
    return table


def verdict(samples: Sequence[Sample]) -> str:
    """Say whether the memory keeps its bound, and whether it grows."""
    end = samples[-1]
    kept = "within" if end.resident_bytes <= BOUND_BYTES else "above"
    return (
        f"{end.resident_bytes / 1e6:.1f} MB after {end.calls:,} calls, {kept} the bound of "
        f"{BOUND_BYTES / 1e6:.0f} MB; peak {end.peak_bytes / 1e6:.1f} MB; growth over the last "
        f"half {growth(samples) / 1e6:+.2f} MB in 1,000 calls"
    )


def to_json(samples: Sequence[Sample]) -> dict[str, Any]:
    """Return every sample, as what `json.dumps` takes."""
    return {
        "growth_bytes": growth(samples),
        "samples": [asdict(sample) for sample in samples],
        "verdict": verdict(samples),
    }


def main(
    artifact: Path | None = typer.Option(
        None, help="A fill-mask artifact; random weights of DistilRoBERTa's shape without."
    ),
    calls: int = typer.Option(10_000, help="How many calls."),
    seed: int = typer.Option(0, help="Of the texts."),
    threads: int | None = typer.Option(
        None, help="Threads of the pipeline; by default the CPUs this process may use."
    ),
    json_path: Path | None = typer.Option(None, "--json", help="Also write everything here."),
) -> None:
    """Tell whether an INT8 fill-mask pipeline's memory grows over many calls of mixed length."""
    results_file.check(json_path)
    if calls < 1:
        raise InputError(f"--calls must be 1 or more, found {calls}")
    count = command_line.threads(threads)
    here = machine.describe()
    weights = subject.weights(artifact)
    file = ResultsFile(json_path, NAME, here, threads=count, weights=weights)

    def show(samples: Sequence[Sample]) -> None:
        console = command_line.output()
        command_line.introduce(console, here, count, weights)
        console.print(_table(samples))
        console.print(verdict(samples), markup=False)

    with tempfile.TemporaryDirectory() as folder:
        opened = subject.alone(_TASK, artifact, [_VARIANT], Path(folder))
        with recorded(file, count, show, to_json) as keep, messages.status("starting") as status:
            measure(opened, calls, count, seed=seed, progress=status.update, keep=keep)
