"""Speed against quality, with the size of the files as the size of the discs."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from distilroberta.bench.report import canvas, labels
from distilroberta.bench.report.labels import Box, Marked
from distilroberta.bench.report.palette import Palette

_HEIGHT_INCHES, _TALL_INCHES = 3.4, 4.8
_FEW = 5
_MOST_NAMED = 8
_FIRST_WORD = re.compile(r"[\s.]")
_WHOLE = 100  # percent
_LARGEST_RADIUS = 13.0  # points
# 1 - cosine of what can't be told from the reference in single precision.
EXACT = 1e-7


@dataclass(frozen=True)
class Option:
    """An engine or variant that one could deploy.

    `same_top` is the share of rows with the same highest logit as FP32, None where not all options
    have one; then `cosine` tells the quality.
    """

    name: str
    ms: float
    file_bytes: int
    cosine: float
    same_top: float | None
    ours: bool


def named(options: Sequence[Option]) -> list[Option]:
    """Return the options that are named beside their disc: all, where they are few.

    Of more than eight ours, and the fastest of each family: of those whose first word is the same.
    """
    if len(options) <= _MOST_NAMED:
        return list(options)
    fastest: dict[str, Option] = {}
    for option in sorted(options, key=lambda option: option.ms):
        fastest.setdefault(_FIRST_WORD.split(option.name)[0], option)
    return [option for option in options if option.ours or option in fastest.values()]


def draw(options: Sequence[Option], unit: str, palette: Palette) -> Figure:
    """Draw a disc for each option; the best is up and to the left. `unit` is the time's."""
    by_share = all(option.same_top is not None for option in options)
    height = _HEIGHT_INCHES if len(options) <= _FEW else _TALL_INCHES
    figure, axes = canvas.axes(palette, height, left=0.78, right=0.12, bottom=0.5, top=0.36)
    axes.set_xscale("log")
    qualities = [_share(option) if by_share else _distance(option) for option in options]
    _limit(axes, [option.ms for option in options], qualities, by_share=by_share)
    _axes(axes, unit, palette, by_share=by_share)
    marks = _marks(axes, options, qualities)
    # The largest first, so that no disc hides another.
    for place in sorted(range(len(options)), key=lambda place: -options[place].file_bytes):
        axes.plot(
            options[place].ms,
            qualities[place],
            "o",
            markersize=2 * marks[place].radius,
            markerfacecolor=palette.ours if options[place].ours else palette.neutral,
            markeredgecolor=palette.ground,
            alpha=0.8,
        )
    _name(axes, options, marks, palette)
    return figure


def _marks(axes: Axes, options: Sequence[Option], qualities: Sequence[float]) -> list[Marked]:
    largest = max(option.file_bytes for option in options)
    marks = []
    for option, quality in zip(options, qualities, strict=True):
        x, y = axes.transData.transform((option.ms, quality))
        radius = _LARGEST_RADIUS * math.sqrt(option.file_bytes / largest)
        wide = canvas.width(_words(option)) * canvas.POINTS
        marks.append(Marked(float(x), float(y), radius, wide, canvas.SMALL * 1.25))
    return marks


def _name(axes: Axes, options: Sequence[Option], marks: Sequence[Marked], palette: Palette) -> None:
    edge = axes.bbox
    shown = named(options)
    with_name = [mark for option, mark in zip(options, marks, strict=True) if option in shown]
    others = [mark for option, mark in zip(options, marks, strict=True) if option not in shown]
    boxes = labels.beside(with_name, Box(edge.x0, edge.y0, edge.x1, edge.y1), others)
    for option, mark, box in zip(shown, with_name, boxes, strict=True):
        axes.annotate(
            _words(option),
            ((box.left + box.right) / 2, (box.bottom + box.top) / 2),
            xycoords="figure points",
            ha="center",
            va="center",
            fontsize=canvas.SMALL,
            color=palette.ink,
            annotation_clip=False,
        )
        end = labels.line_end(mark, box)
        if end is not None:
            axes.annotate(
                "",
                (mark.x, mark.y),
                xytext=end,
                xycoords="figure points",
                textcoords="figure points",
                annotation_clip=False,
                arrowprops={
                    "arrowstyle": "-",
                    "color": palette.muted,
                    "linewidth": 0.8,
                    "shrinkA": 0,
                    "shrinkB": 0,
                },
            )


def _share(option: Option) -> float:
    return 100 * (option.same_top or 0.0)


def _distance(option: Option) -> float:
    return max(1 - option.cosine, EXACT)


def _words(option: Option) -> str:
    return f"{canvas.short(option.name)}, {option.file_bytes / 1e6:.0f} MB"


def _limit(
    axes: Axes, times: Sequence[float], qualities: Sequence[float], *, by_share: bool
) -> None:
    # Room for the discs: they are larger than the points they stand for.
    reach = max(math.log(max(times) / min(times)) * 0.22, 0.25)
    axes.set_xlim(min(times) * math.exp(-reach), max(times) * math.exp(reach))
    low, high = min(qualities), max(qualities)
    if by_share:
        room = max((high - low) * 0.25, 0.1)
        axes.set_ylim(low - room, high + room)
        return
    axes.set_yscale("log")
    beyond = max(math.log(high / low) * 0.18, 0.7)
    axes.set_ylim(high * math.exp(beyond), low * math.exp(-beyond))  # the closest on top


def _axes(axes: Axes, unit: str, palette: Palette, *, by_share: bool) -> None:
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    if by_share:
        ticks = MaxNLocator(5).tick_values(*axes.get_ylim())
        axes.yaxis.set_major_locator(FixedLocator([tick for tick in ticks if tick <= _WHOLE]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %"))
    else:
        axes.yaxis.set_major_locator(FixedLocator([10.0**-decade for decade in range(8)]))
        axes.yaxis.set_major_formatter(FuncFormatter(_cosine))
        axes.yaxis.set_minor_locator(NullLocator())
    axes.grid(color=palette.rule, linewidth=0.6)
    axes.set_xlabel(unit, color=palette.muted, fontsize=canvas.SMALL)
    axes.annotate(
        "same top answer as FP32" if by_share else "cosine to the reference",
        (0, 1),
        xytext=(-44, 8),
        xycoords="axes fraction",
        textcoords="offset points",
        color=palette.muted,
        fontsize=canvas.SMALL,
    )


def _cosine(distance: float, _: int) -> str:
    return "1" if distance <= EXACT else f"{1 - distance:.{round(-math.log10(distance))}f}"
