"""The quantization stage's command: `quantize`."""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from distilroberta.quantize.options import METHODS, Options
from distilroberta.runtime import layout
from distilroberta.runtime.command_line import Steps, messages
from distilroberta.runtime.errors import InputError

if TYPE_CHECKING:
    from distilroberta.quantize.keep_worst import KeepWorst

_DEFAULT = Options()

VARIANTS = typer.Option(help=f"Any of {', '.join(layout.VARIANTS)}, with commas between.")
TARGET = typer.Option(
    _DEFAULT.target,
    help=f"The processor int8 is for: {', '.join(layout.TARGETS)}. portable is right on all.",
)
CALIBRATION = typer.Option(
    None, help="Texts to calibrate on: a line each, or JSON lines; by default those we bring."
)
METHOD = typer.Option(_DEFAULT.method, help=f"How int8-static finds ranges: {', '.join(METHODS)}.")
RANGES = typer.Option(None, help="Ranges for int8-static that --save-ranges wrote.")
SAVE_RANGES = typer.Option(
    None,
    help="Where to write the ranges of int8-static, once they are found: also if it fails later.",
)


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
        None,
        help="With --sensitivity: the highest KL divergence to FP32, in nats, on 32 of the "
        "calibration texts. Ranges are found on these texts too; a --calibration file of texts "
        "like yours says more.",
    ),
    picture: Path | None = typer.Option(
        None, help="With --sensitivity: a PNG to draw what each layer costs."
    ),
    data: Path | None = typer.Option(
        None, help="Labelled data to score the new variants on, beside fp32, as for `evaluate`."
    ),
    max_drop: float | None = typer.Option(
        None,
        help="With --data: refuse to add a variant that loses more points than this. Scores are "
        "those of a CPU, where onnxruntime computes fp16 in FP32 and it loses nothing.",
    ),
    force: bool = typer.Option(False, "--force", help="Replace variants that are there."),
) -> None:
    """Add variants to an artifact, made from its FP32 graphs."""
    if find_spec("onnx") is None:
        raise InputError(
            "quantize needs the quantize extra (onnx missing): "
            "pip install 'distilroberta-onnx[quantize]'"
        )
    wanted = names(variants)
    _check_sensitivity(wanted, sensitivity, bound, picture)
    choose: KeepWorst | None = None
    try:
        with Steps() as steps:
            from distilroberta.quantize import keep_worst
            from distilroberta.quantize.add import quantize as add_variants

            if bound is not None:
                choose = keep_worst.KeepWorst(bound, picture, steps.start)
            add_variants(
                artifact,
                wanted,
                options=Options(target, method, ranges, save_ranges),
                calibration=calibration,
                choose=choose,
                data=data,
                max_drop=max_drop,
                force=force,
                progress=steps.start,
                advance=steps.advance,
            )
    except BaseException:
        # Where no choice meets the bound, what was measured says why. If it can't be shown, the
        # first error is still the one to tell.
        if choose is not None:
            with suppress(Exception):
                choose.show()
        raise
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
    if sensitivity and wanted == ["fp16"]:
        raise InputError(
            "--sensitivity measures on a CPU, where onnxruntime computes fp16 in FP32, so that "
            "nothing would be seen: choose another variant"
        )
    for option, value in (("--bound", bound), ("--picture", picture)):
        if value is not None and not sensitivity:
            raise InputError(f"{option} is about --sensitivity: add it, or leave {option} out")
