"""The export stage's commands: `build`, and `evaluate` from a module of its own."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import typer

from distilroberta.export.evaluate_command import evaluate
from distilroberta.quantize.cli import CALIBRATION, METHOD, RANGES, SAVE_RANGES, TARGET, names
from distilroberta.quantize.options import Options
from distilroberta.runtime import layout
from distilroberta.runtime.command_line import Steps, messages
from distilroberta.runtime.errors import InputError

_NEEDED = ("torch", "transformers", "onnx", "safetensors", "huggingface_hub")


def register(app: typer.Typer) -> None:
    """Add the export stage's commands to the app."""
    app.command()(build)
    app.command()(evaluate)


def build(
    source: str = typer.Argument(help="A checkpoint folder, or a hub id, with @revision if any."),
    output: Path = typer.Argument(help="The folder to make."),
    task: str | None = typer.Option(
        None,
        help=f"{', '.join(layout.TASKS)}; by default what the config says. "
        "feature-extraction takes a checkpoint of any of them, without its head.",
    ),
    variants: str = typer.Option(
        ",".join(layout.DEFAULT_VARIANTS),
        help=f"Which variants to make, of {', '.join(layout.VARIANTS)}, with commas between.",
    ),
    target: str = TARGET,
    calibration: Path | None = CALIBRATION,
    method: str = METHOD,
    ranges: Path | None = RANGES,
    save_ranges: Path | None = SAVE_RANGES,
    data: Path | None = typer.Option(
        None, help="Labelled data to score every variant on, as for `evaluate`."
    ),
    max_drop: float | None = typer.Option(
        None,
        help="With --data: refuse to write a variant that loses more points than this. Scores are "
        "those of a CPU, where onnxruntime computes fp16 in FP32 and it loses nothing.",
    ),
    force: bool = typer.Option(False, "--force", help="Replace what stands in OUTPUT."),
) -> None:
    """Build an artifact from a PyTorch checkpoint."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise InputError(
            f"build needs the export extra ({', '.join(missing)} missing): "
            "pip install 'distilroberta-onnx[export]'"
        )
    with Steps() as steps:
        from distilroberta.export.assemble import build as build_artifact

        artifact = build_artifact(
            source,
            output,
            task=task,
            variants=names(variants),
            options=Options(target, method, ranges, save_ranges),
            calibration=calibration,
            data=data,
            max_drop=max_drop,
            force=force,
            progress=steps.start,
            advance=steps.advance,
        )
    if sys.stderr.isatty():
        messages.print(f"look at it with: distilroberta info {output}", markup=False)
    typer.echo(str(artifact.path))
