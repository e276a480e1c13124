"""The export stage's command: `build`."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import typer
from rich.text import Text

from distilroberta.runtime import layout
from distilroberta.runtime.command_line import messages
from distilroberta.runtime.errors import InputError

_NEEDED = ("torch", "transformers", "onnx", "safetensors", "huggingface_hub")


def register(app: typer.Typer) -> None:
    """Add the export stage's command to the app."""
    app.command()(build)


def build(
    source: str = typer.Argument(help="A checkpoint folder, or a hub id, with @revision if any."),
    output: Path = typer.Argument(help="The folder to make."),
    task: str | None = typer.Option(
        None, help="fill-mask or text-classification; by default what the config says."
    ),
    variants: str = typer.Option(
        ",".join(layout.VARIANTS), help="Which variants to make, with commas between."
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
    names = [name.strip() for name in variants.split(",") if name.strip()]
    with messages.status("starting") as status:
        from distilroberta.export.assemble import build as build_artifact

        artifact = build_artifact(
            source,
            output,
            task=task,
            variants=names,
            force=force,
            progress=lambda line: status.update(Text(line)),  # as text: a bracket is no markup
        )
    if sys.stderr.isatty():
        messages.print(f"look at it with: distilroberta info {output}", markup=False)
    typer.echo(str(artifact.path))
