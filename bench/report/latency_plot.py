"""Latency by length: a line for each engine, on logarithmic axes, named where it ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from distilroberta.bench.harness.interleave import Spread
from distilroberta.bench.report import canvas, labels
from distilroberta.bench.report.comparison import is_ours
from distilroberta.bench.report.palette import Palette

_MARKERS = "sD^vPX*hp<>"
_LABEL_INCHES = 0.19
_LEADER_INCHES = 0.22


@dataclass(frozen=True)
class Line:
    """An engine's milliseconds by length in tokens: median and quartiles."""

    name: str
    points: tuple[tuple[int, Spread], ...]


def draw(lines: Sequence[Line], palette: Palette) -> Figure:
    """Draw the lines; each has a point or more."""
    names = [canvas.short(line.name) for line in lines]
    right = max(map(canvas.width, names)) + _LEADER_INCHES + 0.12
    height = max(3.2, 1.0 + _LABEL_INCHES * len(lines) * 1.2)
    figure, axes = canvas.axes(palette, height, left=0.5, right=right, bottom=0.5, top=0.32)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    colours = _colours(lines, palette)
    for place, line in enumerate(lines):
        _line(axes, line, colours[place], "o" if is_ours(line.name) else _marker(place))
    lengths = sorted({tokens for line in lines for tokens, _ in line.points})
    _axes(axes, lengths, palette)
    _names(axes, lines, names, colours, palette)
    return figure


def _marker(place: int) -> str:
    return _MARKERS[place % len(_MARKERS)]


def _colours(lines: Sequence[Line], palette: Palette) -> list[str]:
    others = [line.name for line in lines if not is_ours(line.name)]
    return [
        palette.ours
        if is_ours(line.name)
        else palette.others[others.index(line.name) % len(palette.others)]
        for line in lines
    ]


def _line(axes: Axes, line: Line, colour: str, marker: str) -> None:
    ours = is_ours(line.name)
    tokens = [tokens for tokens, _ in line.points]
    medians = [found.median for _, found in line.points]
    spread = [
        [found.median - found.low for _, found in line.points],
        [found.high - found.median for _, found in line.points],
    ]
    axes.errorbar(
        tokens,
        medians,
        yerr=spread,
        color=colour,
        marker=marker,
        markersize=5.5 if ours else 4.5,
        linewidth=2.2 if ours else 1.1,
        elinewidth=2.2,
        capsize=2.5,
        zorder=3 if ours else 2,
    )


def _axes(axes: Axes, lengths: Sequence[int], palette: Palette) -> None:
    axes.set_xticks(lengths, [str(length) for length in lengths])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(lengths[0] / 1.25, lengths[-1] * 1.12)
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.grid(axis="y", color=palette.rule, linewidth=0.6)
    axes.set_xlabel("tokens in each text", color=palette.muted, fontsize=canvas.SMALL)
    # Above the axis, where it can be read without turning the head.
    axes.annotate(
        "milliseconds",
        (0, 1),
        xytext=(-30, 7),
        xycoords="axes fraction",
        textcoords="offset points",
        color=palette.muted,
        fontsize=canvas.SMALL,
    )


def _names(
    axes: Axes,
    lines: Sequence[Line],
    names: Sequence[str],
    colours: Sequence[str],
    palette: Palette,
) -> None:
    ends = [line.points[-1] for line in lines]
    points = [axes.transData.transform((tokens, found.median)) for tokens, found in ends]
    heights = labels.apart(
        [float(point[1]) for point in points],
        _LABEL_INCHES * canvas.POINTS,
        axes.bbox.y0,
        axes.bbox.y1,
    )
    edge = axes.bbox.x1
    for line, name, colour, point, height in zip(
        lines, names, colours, points, heights, strict=True
    ):
        ours = is_ours(line.name)
        axes.annotate(
            name,
            (float(point[0]) + 3, float(point[1])),
            xytext=(edge + _LEADER_INCHES * canvas.POINTS, height),
            xycoords="figure points",
            textcoords="figure points",
            va="center",
            color=colour if ours else palette.ink,
            fontsize=canvas.SMALL,
            fontweight="bold" if ours else "normal",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "linewidth": 1.0,
                "relpos": (0, 0.5),
                "shrinkA": 1,
                "shrinkB": 1,
            },
        )
