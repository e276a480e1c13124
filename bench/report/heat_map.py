"""The claim's ratios by length and batch size, as a picture."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from distilroberta.bench.report import canvas, wording
from distilroberta.bench.report.claim import Cell, Claim
from distilroberta.bench.report.palette import Palette

_ROW_INCHES = 0.58
_TOP_INCHES, _LEFT_INCHES = 0.55, 0.62
_SMALL_POINTS = 6.8
_LETTERS = 12  # of a verdict, in a line
_LINE = 0.21  # of a row


def lengths(claim: Claim) -> list[int]:
    """Return the lengths in tokens: the rows."""
    return sorted({cell.tokens for cell in claim.cells})


def batches(claim: Claim) -> list[int]:
    """Return the batch sizes: the columns, few enough for a phone."""
    return sorted({cell.rows for cell in claim.cells})


def draw(claim: Claim, palette: Palette) -> Figure:
    """Draw a cell for each length and batch size, with its ratio, interval and verdict."""
    rows, columns = lengths(claim), batches(claim)
    height = _TOP_INCHES + _ROW_INCHES * len(rows) + 0.1
    figure, axes = canvas.axes(
        palette, height, left=_LEFT_INCHES, right=0.08, bottom=0.1, top=_TOP_INCHES
    )
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.spines[:].set_visible(False)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.tick_params(length=0)
    axes.set_xticks(range(len(columns)), [str(count) for count in columns])
    axes.set_yticks(range(len(rows)), [str(tokens) for tokens in rows])
    axes.set_xlabel("texts in a batch", color=palette.muted, fontsize=canvas.SMALL)
    axes.set_ylabel("tokens in each text", color=palette.muted, fontsize=canvas.SMALL)
    for row, tokens in enumerate(rows):
        for column, count in enumerate(columns):
            cell = claim.cell(count, tokens)
            colour = palette.ground
            if cell is not None and cell.ratio is not None:
                colour = palette.of_ratio(cell.ratio.estimate)
            axes.add_patch(
                Rectangle(
                    (column - 0.48, row - 0.47),
                    0.96,
                    0.94,
                    facecolor=colour,
                    edgecolor=palette.rule,
                )
            )
            lines = _lines(cell)
            for line, (said, size) in enumerate(lines):
                axes.text(
                    column,
                    row + _LINE * (line - (len(lines) - 1) / 2),
                    said,
                    ha="center",
                    va="center",
                    color=palette.ink,
                    fontsize=size,
                    fontweight="bold" if line == 0 else "normal",
                )
    return figure


def _lines(cell: Cell | None) -> Sequence[tuple[str, float]]:
    verdict = textwrap.wrap(cell.verdict, _LETTERS) if cell else []
    small = [(line, _SMALL_POINTS) for line in verdict]
    if cell is None or cell.ratio is None:
        return [(wording.NOTHING, canvas.SIZE), *small]
    interval = (wording.interval(cell.ratio), _SMALL_POINTS)
    return [(wording.times(cell.ratio.estimate), canvas.SIZE), interval, *small]
