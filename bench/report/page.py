"""The report as one page: nothing but itself, so that it can be mailed, kept and opened offline."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib import resources

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from distilroberta.bench.report import canvas, facts, heat_map, wording
from distilroberta.bench.report.claim import Cell
from distilroberta.bench.report.contents import Report
from distilroberta.bench.report.palette import DARK, LIGHT, Palette
from distilroberta.bench.report.parts import Chart, RatioMap, Table

# Rows and columns of a table that is shown without being asked for.
_LONGEST_OPEN, _WIDEST_OPEN = 8, 9


@dataclass(frozen=True)
class _Square:
    """A cell of a ratio map, with its colours on light and dark ground, if it was measured."""

    ratio: str
    interval: str
    verdict: str
    flagged: bool
    light: str | None
    dark: str | None


def html(report: Report) -> str:
    """Return the page, the same for the same results.

    What results files hold is escaped: names in them are data, whatever they look like.
    """
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals.update(
        image=_image,
        squares=_squares,
        is_map=_is_map,
        folded=_folded,
        of_run=facts.of_run,
        batches=heat_map.batches,
        ratio=wording.ratio,
    )
    template = environment.from_string(_text("page.html"))
    return template.render(
        report=report,
        facts=facts.facts(report.runs),
        # Our own, and the only text on the page that is not escaped.
        styles=Markup(_colours() + _text("page.css")),  # noqa: S704
        made_by=canvas.MADE_BY,
    )


def _text(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")


def _colours() -> str:
    dark = f"@media screen and (prefers-color-scheme: dark) {{ {_variables(DARK)} }}"
    return f"{_variables(LIGHT)}\n{dark}\n"


def _variables(palette: Palette) -> str:
    values = (
        f"--{name.replace('_', '-')}: {colour};"
        for name, colour in asdict(palette).items()
        if isinstance(colour, str)
    )
    return f":root {{ {' '.join(values)} }}"


def _image(chart: Chart, *, dark: bool = False) -> str:
    content = canvas.svg(chart.draw, DARK if dark else LIGHT)
    return f"data:image/svg+xml;base64,{base64.b64encode(content).decode()}"


def _is_map(chart: Chart | RatioMap) -> bool:
    return isinstance(chart, RatioMap)


def _folded(table: Table) -> bool:
    return table.detail or len(table.rows) > _LONGEST_OPEN or len(table.columns) > _WIDEST_OPEN


def _squares(found: RatioMap) -> Iterable[tuple[int, list[_Square]]]:
    columns = heat_map.batches(found.claim)
    for tokens in heat_map.lengths(found.claim):
        yield tokens, [_square(found.claim.cell(count, tokens)) for count in columns]


def _square(cell: Cell | None) -> _Square:
    if cell is None or cell.ratio is None:
        verdict = "not measured" if cell is None else cell.verdict
        return _Square(wording.NOTHING, "", verdict, False, None, None)
    return _Square(
        wording.times(cell.ratio.estimate),
        wording.interval(cell.ratio),
        cell.verdict,
        cell.warning is not None,
        LIGHT.of_ratio(cell.ratio.estimate),
        DARK.of_ratio(cell.ratio.estimate),
    )
