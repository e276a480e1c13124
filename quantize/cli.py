"""The quantization stage's command: `quantize`."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import typer
from rich.text import Text

from distilroberta.quantize.options import Options
from distilroberta.runtime import layout
from distilroberta.runtime.command_line import messages
from distilroberta.runtime.errors import InputError

_DEFAULT = Options()

VARIANTS = typer.Option(help=f"Any of {', '.join(layout.VARIANTS)}, with commas between.")
TARGET = typer.Option(
    _DEFAULT.target,
    help=f"The processor int8 is for: {', '.join(layout.TARGETS)}. portable is right on all.",
)
CALIBRATION = typer.Option(
    None, help="Texts to calibrate on: a line each, or JSON lines; by default 150 of ours."
)
METHOD = typer.Option(
    _DEFAULT.method, help="How int8-static finds ranges: minmax, entropy or percentile."
)
RANGES = typer.Option(None, help="Ranges for int8-static that --save-ranges wrote.")
SAVE_RANGES = typer.Option(None, help="Where to write the ranges that int8-static found.")


def register(app: typer.Typer) -> None:
    """Add the quantization stage's command to the app."""
    app.command()(quantize)


def names(variants: str) -> list[str]:
    """Split a list of variants at its commas."""
    return [name.strip() for name in variants.split(",") if name.strip()]


def quantize(
    artifact: Path = typer.Argument(help="A folder made by `distilroberta build`, with fp32."),
    variants: str = VARIANTS,
    target: str = TARGET,
    calibration: Path | None = CALIBRATION,
    method: str = METHOD,
    ranges: Path | None = RANGES,
    save_ranges: Path | None = SAVE_RANGES,
    sensitivity: bool = typer.Option(
        False, "--sensitivity", help="Keep the worst layers in a higher precision, see --bound."
    ),
    bound: float | None = typer.Option(
        None, help="With --sensitivity: the highest KL divergence to FP32, in nats."
    ),
    picture: Path | None = typer.Option(
        None, help="With --sensitivity: a PNG to draw what each layer costs."
    ),
    force: bool = typer.Option(False, "--force", help="Replace variants that are there."),
) -> None:
    """Add variants to an artifact, made from its FP32 graphs."""
    if find_spec("onnx") is None:
        raise InputError(
            "quantize needs the export extra (onnx missing): "
            "pip install 'distilroberta-onnx[export]'"
        )
    wanted = names(variants)
    _check_sensitivity(wanted, sensitivity, bound, picture)
    with messages.status("starting") as status:
        from distilroberta.quantize.add import quantize as add_variants
        from distilroberta.quantize.keep_worst import KeepWorst

        choose = KeepWorst(bound, picture, status.update) if bound is not None else None
        try:
            add_variants(
                artifact,
                wanted,
                options=Options(target, method, ranges, save_ranges),
                calibration=calibration,
                choose=choose,
                force=force,
                progress=lambda line: status.update(Text(line)),  # as text: a bracket is no markup
            )
        finally:
            # Where no choice meets the bound, what was measured says why.
            if choose is not None:
                choose.show()
    if sys.stderr.isatty():
        messages.print(f"look at it with: distilroberta info {artifact}", markup=False)
    typer.echo(str(artifact))


def _check_sensitivity(
    wanted: list[str], sensitivity: bool, bound: float | None, picture: Path | None
) -> None:
    if sensitivity and (bound is None or not bound > 0):
        raise InputError("--sensitivity needs --bound, a KL divergence above 0, such as 0.001")
    if sensitivity and len(wanted) != 1:
        raise InputError(f"--sensitivity is for one variant at a time, found {len(wanted)}")
    for option, value in (("--bound", bound), ("--picture", picture)):
        if value is not None and not sensitivity:
            raise InputError(f"{option} is about --sensitivity: add it, or leave {option} out")
