"""What quantizing takes: seconds and memory of `distilroberta quantize`, by variant.

    distilroberta bench quantizing [--checkpoint FOLDER] [--variants int8,int4]

An artifact with FP32 alone is built once. Each variant is then made from a copy of it, by the
command, in a process of its own. Seconds are from its start to its end: importing, calibrating,
writing, and the comparison with FP32 included. CPU seconds add up all threads. Peak GB is the most
memory that the process had in RAM, 10^9 bytes, mapped files included. File MB are 10^6 bytes, the
sum of the model files that the variant reads.

Without a checkpoint, random weights of DistilRoBERTa's shape are quantized: see `checkpoints`. The
exit code does not depend on what was measured.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import typer
from rich.table import Table

from distilroberta.bench.harness import command_line, machine, process_cost, results_file
from distilroberta.bench.harness.process_cost import ProcessCost
from distilroberta.bench.harness.recorded import recorded
from distilroberta.bench.harness.results_file import ResultsFile
from distilroberta.bench.models import subject
from distilroberta.bench.models.checkpoints import random_checkpoint
from distilroberta.export import build
from distilroberta.quantize import options as option_rules
from distilroberta.quantize.options import Options
from distilroberta.runtime import Artifact, layout
from distilroberta.runtime.command_line import messages
from distilroberta.runtime.errors import InputError

NAME = "quantizing"
# Of one variant of a model of DistilRoBERTa's shape.
BOUND_SECONDS = 60
BOUND_BYTES = 3e9
_FP32 = "fp32"
_COMMAND = "from distilroberta.runtime.entry import main; main()"
_PACKAGES = ("onnx",)
_ALL = ",".join(name for name in layout.VARIANTS if name != _FP32)


@dataclass(frozen=True)
class Measured:
    """What making a variant took, and the bytes of its model files."""

    cost: ProcessCost
    file_bytes: int


def measure(
    checkpoint: Path | None,
    variants: Sequence[str],
    folder: Path,
    keep: Callable[[dict[str, Measured]], None] = lambda _: None,
) -> dict[str, Measured]:
    """Build a checkpoint, or random weights, into an empty folder; then make each variant.

    Args:
        checkpoint: its folder, or None.
        variants: what is made.
        folder: an empty one.
        keep: called after each variant with what is known so far.

    Raises:
        BenchError: quantizing failed, or this system does not tell what a process took.
        DistilRobertaError: as `build`.
    """
    found: dict[str, Measured] = {}
    with messages.status("writing random weights") as status:
        source = checkpoint or random_checkpoint(folder / "checkpoint")
        artifact = build(
            source,
            folder / "artifact",
            variants=[_FP32],
            progress=lambda step: status.update(f"our artifact: {step}"),
        )
        for name in variants:
            status.update(f"quantizing to {name}")
            copied = folder / name
            shutil.copytree(artifact.path, copied)
            words = ["quantize", str(copied), "--variants", name]
            cost = process_cost.of([sys.executable, "-c", _COMMAND, *words])
            found = {**found, name: Measured(cost, Artifact(copied).bytes_of(name))}
            keep(found)
            shutil.rmtree(copied)
    return found


def _variants(listed: str) -> list[str]:
    names = option_rules.check([name.strip() for name in listed.split(",")], Options())
    if _FP32 in names:
        raise InputError("--variants: fp32 is what the others are made from; leave it out")
    return names


def _table(found: Mapping[str, Measured]) -> Table:
    table = Table("variant", title="distilroberta quantize, by variant")
    for name in ("s", "CPU s", "peak GB", "file MB"):
        table.add_column(name, justify="right")
    for variant, one in found.items():
        table.add_row(
            variant,
            f"{one.cost.seconds:.1f}",
            f"{one.cost.cpu_seconds:.1f}",
            f"{one.cost.peak_bytes / 1e9:.2f}",
            f"{one.file_bytes / 1e6:.1f}",
        )
    return table


def _verdict(found: Mapping[str, Measured]) -> str:
    above = [
        name
        for name, one in found.items()
        if one.cost.seconds > BOUND_SECONDS or one.cost.peak_bytes > BOUND_BYTES
    ]
    said = f"above: {', '.join(above)}" if above else "all within"
    return f"bounds of {BOUND_SECONDS} s and {BOUND_BYTES / 1e9:.0f} GB for a variant: {said}"


def to_json(found: Mapping[str, Measured]) -> dict[str, Any]:
    """Return what making each variant took, as what `json.dumps` takes."""
    variants = {name: asdict(one) for name, one in found.items()}
    return {"variants": variants, "verdict": _verdict(found)}


def main(
    checkpoint: Path | None = typer.Option(
        None, help="A checkpoint; random weights of DistilRoBERTa's shape without."
    ),
    variants: str = typer.Option(_ALL, help="The variants to make, with commas between."),
    json_path: Path | None = typer.Option(None, "--json", help="Also write everything here."),
) -> None:
    """Tell how many seconds and how much memory making each variant takes."""
    names = _variants(variants)
    results_file.check(json_path)
    here = machine.describe(_PACKAGES)
    weights = subject.weights(checkpoint)
    file = ResultsFile(json_path, NAME, here, threads=here.cpus, weights=weights)

    def show(found: Mapping[str, Measured]) -> None:
        console = command_line.output()
        console.print(f"{here}\n{weights}\n{command_line.exact()}", markup=False)
        console.print(_table(found))
        console.print(_verdict(found), markup=False)

    with (
        recorded(file, here.cpus, show, to_json) as keep,
        tempfile.TemporaryDirectory() as folder,
    ):
        measure(checkpoint, names, Path(folder), keep)
