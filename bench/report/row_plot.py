"""Rows with a value each: the name above, what was measured under it, and its number at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from distilroberta.bench.claim.terms import CLAIMED
from distilroberta.bench.harness.ratio_interval import Ratio
from distilroberta.bench.report import canvas, wording
from distilroberta.bench.report.palette import Palette

_ROW_INCHES = 0.46
_NAME_POINTS = 9.0  # above the row's middle
_MARGIN = 0.06
# Of a row, from its middle.
_EXPECTED = 0.26
_REFERENCE = 0.17
_AXIS_INCHES = 0.5


@dataclass(frozen=True)
class Bar:
    """A length from 0, the range around it, a further mark, and the words at its end."""

    name: str
    value: float
    said: str
    ours: bool
    low: float | None = None
    high: float | None = None
    mark: float | None = None


@dataclass(frozen=True)
class Dot:
    """A ratio with its interval, and what operations alone let expect."""

    name: str
    ratio: Ratio
    expected: float | None


def draw_bars(bars: Sequence[Bar], unit: str, palette: Palette) -> Figure:
    """Draw bars from 0, with `unit` under the axis."""
    figure, axes = _rows([bar.name for bar in bars], [bar.said for bar in bars], unit, palette)
    for row, bar in enumerate(bars):
        colour = palette.ours if bar.ours else palette.neutral
        axes.barh(row, bar.value, height=0.26, color=colour)
        if bar.low is not None and bar.high is not None:
            axes.plot([bar.low, bar.high], [row, row], color=palette.ink, linewidth=1.4)
        if bar.mark is not None:
            axes.plot([bar.value, bar.mark], [row, row], color=colour, linewidth=1.2)
            axes.plot([bar.mark, bar.mark], [row - 0.13, row + 0.13], color=colour, linewidth=2)
    longest = max(max(bar.value, bar.high or 0, bar.mark or 0) for bar in bars)
    axes.set_xlim(0, longest * 1.02)
    return figure


def draw_ratios(dots: Sequence[Dot], palette: Palette) -> Figure:
    """Draw ratios with their intervals, and lines at no difference and at the claimed ratio."""
    said = [wording.ratio(dot.ratio) for dot in dots]
    figure, axes = _rows([dot.name for dot in dots], said, "times as fast as roberta-base", palette)
    for row, dot in enumerate(dots):
        axes.plot([1, dot.ratio.estimate], [row, row], color=palette.rule, linewidth=3, zorder=1)
        ends = [dot.ratio.low, dot.ratio.high]
        axes.plot(ends, [row, row], color=palette.ours, linewidth=3, alpha=0.6)
        axes.plot(dot.ratio.estimate, row, "o", color=palette.ours, markersize=6)
        if dot.expected is not None:
            axes.plot(dot.expected, row + _EXPECTED, "^", color=palette.ink, markersize=5.5)
    for at, name in ((1.0, "as fast"), (CLAIMED, "claimed")):
        # In each row for itself: one long line would run through the names.
        axes.vlines(
            [at] * len(dots),
            [row - _REFERENCE for row in range(len(dots))],
            [row + _REFERENCE for row in range(len(dots))],
            color=palette.muted,
            linewidth=1.2,
            zorder=1,
        )
        axes.annotate(
            name,
            (at, 1),
            xytext=(0, 3),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="center",
            color=palette.muted,
            fontsize=canvas.SMALL,
        )
    reach = [value for dot in dots for value in (dot.ratio.low, dot.ratio.high, dot.expected or 1)]
    axes.set_xlim(min(*reach, 1.0) - _MARGIN, max(*reach, CLAIMED) + _MARGIN)
    return figure


def _rows(
    names: Sequence[str], said: Sequence[str], unit: str, palette: Palette
) -> tuple[Figure, Axes]:
    right = max(map(canvas.width, said)) + 0.2
    height = _AXIS_INCHES + 0.25 + _ROW_INCHES * len(names)
    figure, axes = canvas.axes(
        palette, height, left=0.12, right=right, bottom=_AXIS_INCHES, top=0.25
    )
    axes.set_ylim(len(names) - 0.55, -0.75)  # the first on top
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel(unit, color=palette.muted, fontsize=canvas.SMALL)
    for row, (name, words) in enumerate(zip(names, said, strict=True)):
        axes.annotate(
            canvas.short(name, 46),
            (0, row),
            xytext=(0, _NAME_POINTS),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            color=palette.ink,
            fontsize=canvas.SMALL,
        )
        axes.annotate(
            words,
            (1, row),
            xytext=(8, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="center",
            color=palette.ink,
            fontsize=canvas.SMALL,
        )
    return figure, axes
