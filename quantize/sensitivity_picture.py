"""A picture of what quantizing each product costs, and of the choice that was made."""

from __future__ import annotations

import os
import re
import tempfile
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from distilroberta.quantize.errors import QuantizationError
from distilroberta.quantize.sensitivity import Choice, Effect, Sensitivity
from distilroberta.runtime.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FORMATS = (".png", ".svg", ".pdf")
# Blue and orange that the colour-blind can tell apart (Okabe and Ito, https://jfly.uni-koeln.de/color/).
_QUANTIZED, _KEPT = "#0072B2", "#E69F00"
_WIDTH_INCHES, _ROW_INCHES, _FEWEST_INCHES = 7.0, 0.19, 4.0
_CURVE_INCHES = 5.0
# The powers of ten that axes show without taking one out.
_WITHOUT_EXPONENT = (-2, 3)

_OF_A_LAYER = re.compile(r"encoder\.(?:layer\.(\d+)|last)\.(?:block\.|attention\.)?(.+)\.weight")


def check_picture(path: Path) -> None:
    """Check that `picture` can write `path`, before the long work that it shows.

    Raises:
        InputError: matplotlib is not installed, or the path can't be a picture's.
    """
    if find_spec("matplotlib") is None:
        raise InputError(
            "a picture needs the evaluate extra (matplotlib missing): pip install "
            "'distilroberta-onnx[evaluate]'"
        )
    if path.suffix.lower() not in _FORMATS:
        raise InputError(f"{path} is no picture: end its name with {', '.join(_FORMATS)}")
    if path.is_dir() or not path.parent.is_dir():
        raise InputError(f"{path} can't be written: it must be a file in a folder that is there")


def picture(sensitivity: Sensitivity, path: Path, choice: Choice | None = None) -> None:
    """Write the picture of `draw` to a file, whole or not at all.

    Args:
        sensitivity: what was measured.
        path: the file, replaced if it is there; its suffix names the format.
        choice: what is kept, None if nothing was chosen.

    Raises:
        InputError: see `check_picture`.
        QuantizationError: the disk is full, or fails in another way.
    """
    check_picture(path)
    figure = draw(sensitivity, choice)
    try:
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
            written = Path(folder) / path.name
            figure.savefig(written)
            os.replace(written, path)
    except OSError as error:
        raise QuantizationError(f"{path} could not be written: {error.strerror}") from error


def draw(sensitivity: Sensitivity, choice: Choice | None = None) -> Figure:
    """Draw a bar for each product, by layer, and beside it the divergence by how many are kept.

    The second part is left out where nothing was chosen.
    """
    # matplotlib takes long to import, and only pictures need it.
    from matplotlib.figure import Figure

    layers = [
        (name, tuple(effects))
        for name, effects in groupby(sensitivity.effects, lambda effect: _place(effect.weight)[0])
    ]
    rows = len(layers) + len(sensitivity.effects)
    height = max(_FEWEST_INCHES, 1.2 + rows * _ROW_INCHES)
    width = _WIDTH_INCHES + (_CURVE_INCHES if choice else 0)
    figure = Figure(figsize=(width, height), dpi=130, layout="constrained")
    ratios = [_WIDTH_INCHES, _CURVE_INCHES] if choice else [_WIDTH_INCHES]
    axes = figure.subplots(1, len(ratios), squeeze=False, width_ratios=ratios)[0]
    _bars(axes[0], layers, choice)
    if choice:
        _curve(axes[1], choice)
    return figure


def _bars(axes: Axes, layers: list[tuple[str, tuple[Effect, ...]]], choice: Choice | None) -> None:
    kept = choice.kept if choice else frozenset()
    labels: list[str] = []
    headings: list[int] = []
    for layer, effects in layers:
        headings.append(len(labels))
        labels.append(layer)
        for effect in effects:
            colour = _KEPT if effect.weight in kept else _QUANTIZED
            axes.barh(len(labels), effect.kl, color=colour)
            labels.append(_place(effect.weight)[1])
    axes.set_yticks(range(len(labels)), labels, fontsize=8)
    for row in headings:
        axes.get_yticklabels()[row].set_fontweight("bold")
    axes.tick_params(axis="y", length=0)
    axes.ticklabel_format(axis="x", scilimits=_WITHOUT_EXPONENT)
    axes.set_ylim(len(labels) - 0.4, -0.6)  # the first layer on top
    axes.axvline(0, color="black", linewidth=0.8)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    axes.set_xlabel("KL to FP32 that it adds, nats")
    axes.set_title("each product quantized alone")
    if choice:
        axes.barh(0, 0, color=_KEPT, label=f"kept ({len(kept)})")
        axes.barh(0, 0, color=_QUANTIZED, label="quantized")
        axes.legend(loc="best")


def _curve(axes: Axes, choice: Choice) -> None:
    from matplotlib.ticker import MaxNLocator

    *tried, everything = choice.curve
    chosen = choice.chosen
    axes.plot(
        [point.kept for point in tried],
        [point.kl for point in tried],
        color=_QUANTIZED,
        marker="o",
        markersize=4,
    )
    axes.plot(
        chosen.kept,
        chosen.kl,
        color=_KEPT,
        marker="o",
        markersize=9,
        linestyle="none",
        label=f"chosen: {chosen.kept} kept, {chosen.kl:.3g}",
    )
    axes.axhline(
        choice.bound, color="black", linestyle="--", label=f"bound: {choice.bound:g}", linewidth=1
    )
    axes.axhline(
        everything.kl,
        color="grey",
        linestyle=":",
        label=f"all {everything.kept} kept: {everything.kl:.3g}",
    )
    axes.set_ylim(bottom=0)
    axes.ticklabel_format(axis="y", scilimits=_WITHOUT_EXPONENT)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.set_xlabel("how many of the worst are kept")
    axes.set_ylabel("KL to FP32, nats")
    axes.set_title("the worst kept, all others quantized")
    axes.legend(loc="best")


def _place(weight: str) -> tuple[str, str]:
    # -> the layer a weight belongs to, and its name there.
    found = _OF_A_LAYER.fullmatch(weight)
    if found is None:
        return "after the encoder", weight.removesuffix(".weight")
    layer, name = found.groups()
    return ("last layer" if layer is None else f"layer {layer}"), name.replace("_", " ")
