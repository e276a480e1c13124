"""Figures without a window: the same bytes for the same figure, on any machine.

Every figure is narrow, so that its words can be read on a phone. They are drawn in DejaVu Sans,
which comes with matplotlib, and kept as outlines.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from distilroberta.bench.report.palette import LIGHT, Palette

WIDTH_INCHES = 4.2
SIZE, SMALL = 10.0, 9.0  # points
POINTS = 72.0  # of an inch
_PNG_DPI = 200
MADE_BY = "distilroberta bench report"

_FONT = "DejaVu Sans"
_STYLE = {
    "font.family": _FONT,
    "font.size": SIZE,
    "svg.fonttype": "path",
    "svg.hashsalt": "distilroberta",
    "text.parse_math": False,  # names may hold a dollar sign
    "axes.unicode_minus": True,
}
# What draws a figure in some colours.
Draw = Callable[[Palette], Figure]


def svg(draw: Draw, palette: Palette) -> bytes:
    """Return a figure as SVG on transparent ground."""
    return _saved(
        draw, palette, "svg", transparent=True, metadata={"Date": None, "Creator": MADE_BY}
    )


def png(draw: Draw) -> bytes:
    """Return a figure as PNG on white ground."""
    return _saved(draw, LIGHT, "png", dpi=_PNG_DPI, metadata={"Software": MADE_BY})


def _saved(draw: Draw, palette: Palette, kind: str, **options: Any) -> bytes:
    with style.context(["default", _STYLE]):
        content = io.BytesIO()
        draw(palette).savefig(content, format=kind, **options)
    return content.getvalue()


def axes(
    palette: Palette, height: float, *, left: float, right: float, bottom: float, top: float = 0.12
) -> tuple[Figure, Axes]:
    """Return a new figure and its one pair of axes.

    Args:
        palette: the colours.
        height: of the figure, in inches.
        left: inches beside the axes, as the others.
        right: what labels take there.
        bottom: what the horizontal axis takes.
        top: what stands above.
    """
    figure = Figure(figsize=(WIDTH_INCHES, height), dpi=POINTS, facecolor=palette.ground)
    inner = figure.add_axes(
        (
            left / WIDTH_INCHES,
            bottom / height,
            (WIDTH_INCHES - left - right) / WIDTH_INCHES,
            (height - bottom - top) / height,
        )
    )
    inner.set_facecolor("none")
    inner.spines[["top", "right"]].set_visible(False)
    for spine in inner.spines.values():
        spine.set_color(palette.rule)
    inner.tick_params(colors=palette.muted, labelsize=SMALL, length=3, color=palette.rule)
    inner.set_axisbelow(True)
    return figure, inner


def width(text: str, size: float = SMALL) -> float:
    """Return how wide a text is, in inches."""
    font = FontProperties(family=_FONT, size=size)
    points, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return float(points) / POINTS


def short(name: str, most: int = 26) -> str:
    """Return a name that fits beside a figure; tables have it in full."""
    line = " ".join(name.split())
    if len(line) <= most:
        return line
    # Names differ at their ends more often than in their middles.
    end = most // 2
    return f"{line[: most - end - 1].rstrip()}…{line[-end:].lstrip()}"
