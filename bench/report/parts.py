"""What a report is made of: sections with figures, ratio maps and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from distilroberta.bench.report.canvas import Draw
from distilroberta.bench.report.claim import Claim


@dataclass(frozen=True)
class Table:
    """A caption, column names and rows of as many cells; a row's first cell names it.

    `words` are the columns, by place, that hold text and not numbers; the first always does. `card`
    says that the table belongs into a model card too,
    `detail` that it is shown only when asked for.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: frozenset[int] = frozenset()
    card: bool = False
    detail: bool = False


@dataclass(frozen=True)
class Chart:
    """A figure: its file name and id, what it shows, how to read it, and its data in words."""

    name: str
    title: str
    note: str
    alt: str
    draw: Draw


@dataclass(frozen=True)
class RatioMap:
    """The ratios of one claim, which the page shows as a table with coloured cells."""

    name: str
    title: str
    claim: Claim
    # The reasons and warnings of cells, each with the cells it holds for; why the whole fails is
    # the claim's own.
    notes: tuple[str, ...]
    draw: Draw


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading of its own."""

    name: str
    title: str
    lead: str
    charts: Sequence[Chart | RatioMap] = ()
    tables: Sequence[Table] = ()
    # That of the benchmark, where it is not the whole report's.
    verdict: str | None = None
