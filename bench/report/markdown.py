"""The report as Markdown: the verdict and the tables that belong into a model card."""

from __future__ import annotations

from collections.abc import Iterable

from distilroberta.bench.report import canvas, facts
from distilroberta.bench.report.contents import Report
from distilroberta.bench.report.parts import Table

# Characters that Markdown, or the HTML that may stand in it, would not show as they are.
_SPECIAL = "\\`*_[]<>|#~$&"


def markdown(report: Report) -> str:
    """Return the verdict, what to know before believing it, and the tables, the same each time."""
    lines = [f"<!-- {canvas.MADE_BY} -->", "", f"**{_escaped(report.verdict)}**", ""]
    lines += [f"- {name}: {_escaped(value)}" for name, value in facts.facts(report.runs)]
    lines += [f"- Note: {_escaped(note)}" for note in report.notes]
    for section in report.sections:
        tables = [found for found in section.tables if found.card]
        if tables:
            lines += ["", f"### {_escaped(section.title)}"]
            for found in tables:
                lines += ["", *_table(found)]
    return "\n".join(lines) + "\n"


def _table(found: Table) -> Iterable[str]:
    yield f"{_escaped(found.caption)}:"
    yield ""
    yield _row(found.columns)
    words = {0, *found.words}
    sides = ["---" if place in words else "---:" for place in range(len(found.columns))]
    yield f"|{'|'.join(sides)}|"
    for row in found.rows:
        yield _row(row)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(map(_escaped, cells))} |"


def _escaped(text: str) -> str:
    return "".join(f"\\{one}" if one in _SPECIAL else one for one in " ".join(text.split()))
