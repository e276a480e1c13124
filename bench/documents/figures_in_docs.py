"""Figures in Markdown documents, taken from results files, so that none goes stale unnoticed.

    python -m distilroberta.bench.documents.figures_in_docs README.md docs/*.md
    python -m distilroberta.bench.documents.figures_in_docs --check README.md docs/*.md

A document has marked places. Their marks are comments, which no reader of the page sees; the lines
between belong to this script. A text is made from a template, in the comment:

    <!-- results: text
    - Cold start: {cold-start: engines["ours INT8"].seconds.median | .2f} s,
      a file of {latency: variants[variant="int8"].file_bytes / 1e6 | .0f} MB.
    -->
    - Cold start: 0.39 s,
      a file of 85 MB.
    <!-- results: end -->

`{name: path / number | format}` is the value at a path of `results/name.json`, see `json_path`,
divided by the number and formatted as Python's `format` does; the last two may be left out. Braces
that are meant as such are doubled. A table is made from a whole file; `workloads` chooses columns
(`""` none), other fields choose comparisons, see `markdown_tables`:

    <!-- results: table peers task="fill-mask" workloads="16 tokens; 8 x 128 tokens" -->
    <!-- results: end -->

A mark begins its line, after three spaces at the most, and nothing else stands on it. With
`--check` nothing is written; every stale place is named, and the exit code is 1 if there is one.
Where a place can't be made, nothing is written either, and the exit code is 2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from distilroberta.bench.documents import json_path, markdown_tables
from distilroberta.bench.harness import whole_file
from distilroberta.bench.report import fields, results
from distilroberta.runtime.command_line import messages, one_line
from distilroberta.runtime.errors import DistilRobertaError, InputError

# In a clone; an installed package does not have it.
RESULTS = Path(__file__).parents[2] / "results"

# Written almost right it is a mark too: one that was overlooked would let its figures go stale.
_MARK = re.compile(r" {0,3}<!--\s*results?\b\s*:?\s*(.*)")
_TABLE = re.compile(r"table\s+(?P<name>[\w-]+)\s*(?P<choice>.*?)\s*-->")
_TEXT, _TEXT_ENDS, _END = "text", "-->", "end -->"
_BRACES = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_FIGURE = re.compile(
    r"\s*(?P<name>[\w-]+):\s*(?P<path>.+?)"
    r"(?:\s*/\s*(?P<divisor>\d[\d.e]*))?(?:\s*\|\s*(?P<format>.*?))?\s*"
)


@dataclass(frozen=True)
class Place:
    """A marked place: what stands there and what should, as lines.

    `line` is that of its mark, counted from 1; `start` and `end` are the indices of the lines
    between the marks.
    """

    line: int
    start: int
    end: int
    found: list[str]
    expected: list[str]


def places(text: str, document: str, folder: Path = RESULTS) -> list[Place]:
    """Return the marked places of a document's text.

    Args:
        text: Markdown.
        document: what errors call it.
        folder: that of the results files.

    Raises:
        InputError: a mark is not understood or has no end, or what it names can't be found, read
            or formatted, or is of a run that did not end well. It names the document and the line.
    """
    lines = text.split("\n")
    found, files = [], _Files(folder)
    said = ((place, _said(line)) for place, line in enumerate(lines))
    marks = ((place, mark) for place, mark in said if mark is not None)
    for place, mark in marks:
        start, expected = place + 1, []
        if mark == _TEXT:
            start = _after_template(lines, place, document)
            for number in range(place + 1, start - 1):
                expected.append(_filled(lines[number], files, _at(document, number + 1)))
        else:
            expected = _table(mark, files, _at(document, place + 1))
        end, closing = next(marks, (len(lines), None))
        if end < start or closing != _END:
            raise InputError(f"{_at(document, place + 1)}: <!-- results: end --> does not follow")
        found.append(Place(place + 1, start, end, lines[start:end], expected))
    return found


def refreshed(text: str, found: list[Place]) -> str:
    """Return a document's text with what should stand at its places."""
    lines = text.split("\n")
    for place in reversed(found):
        lines[place.start : place.end] = place.expected
    return "\n".join(lines)


class _Files:
    """The results files of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._runs: dict[str, results.Run] = {}
        self._trees: dict[str, dict[str, Any]] = {}

    def run(self, name: str) -> results.Run:
        if name not in self._runs:
            path = self._folder / f"{name}.json"
            run = results.read(path)
            if not run.complete:
                raise InputError(f"{path} is of a run that was interrupted or failed")
            self._runs[name] = run
        return self._runs[name]

    def tree(self, name: str) -> dict[str, Any]:
        self.run(name)  # or a figure could come from half a run
        if name not in self._trees:
            self._trees[name] = fields.read(self._folder / f"{name}.json").tree
        return self._trees[name]


def _at(document: str, line: int) -> str:
    return f"{document}, line {line}"


def _said(line: str) -> str | None:
    mark = _MARK.fullmatch(line)
    return mark.group(1).rstrip() if mark else None


def _after_template(lines: list[str], place: int, document: str) -> int:
    for end in range(place + 1, len(lines)):
        if lines[end].strip() == _TEXT_ENDS:
            return end + 1
    raise InputError(f"{_at(document, place + 1)}: no line --> ends the template")


def _filled(line: str, files: _Files, where: str) -> str:
    def value(braces: re.Match[str]) -> str:
        whole, inner = braces.group(), braces.group(1)
        if whole in ("{{", "}}"):
            return whole[0]
        try:
            return _figure(inner, files)
        except InputError as error:
            raise InputError(f"{where}: {whole}: {error}") from error

    return _BRACES.sub(value, line)


def _figure(inner: str | None, files: _Files) -> str:
    figure = None if inner is None else _FIGURE.fullmatch(inner)
    if figure is None:
        raise InputError("a figure is written {name: path / number | format}, a brace doubled")
    name, path, divisor, form = figure.group("name", "path", "divisor", "format")
    value = json_path.look_up(files.tree(name), path)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InputError(f"neither text nor a number is there, but {type(value).__name__}")
    try:
        return format(value if divisor is None else float(value) / float(divisor), form or "")
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise InputError(f"{value!r} can't be shown so: {error}") from error


def _table(said: str, files: _Files, where: str) -> list[str]:
    mark = _TABLE.fullmatch(said)
    if mark is None:
        raise InputError(f"{where}: a place begins with text, or table NAME -->, found {said!r}")
    try:
        return markdown_tables.table(files.run(mark["name"]), json_path.fields(mark["choice"]))
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def main(
    documents: list[Path] = typer.Argument(help="Markdown files."),
    check: bool = typer.Option(False, "--check", help="Write nothing, name what is stale."),
    folder: Path = typer.Option(RESULTS, "--results", help="The folder of the results files."),
) -> None:
    """Take the figures of documents from results files."""
    # All are read before any is written.
    texts = {path: _read(path) for path in documents}
    found = {path: places(text, str(path), folder) for path, text in texts.items()}
    stale = list(_stale(found))
    for path, place in stale:
        done = "is stale" if check else "was renewed"
        messages.print(f"{_at(str(path), place.line)}: {done}", markup=False)
    if check:
        raise typer.Exit(1 if stale else 0)
    for path in dict.fromkeys(path for path, _ in stale):
        whole_file.write_text(path, refreshed(texts[path], found[path]))


def _stale(found: dict[Path, list[Place]]) -> Iterator[tuple[Path, Place]]:
    for path, its in found.items():
        yield from ((path, place) for place in its if place.found != place.expected)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"{path} can't be read: {error}") from error


def run() -> None:
    """Run the command and exit: 0 done, 1 stale or not written, 2 a place can't be made."""
    app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
    app.command()(main)
    try:
        app()
    except DistilRobertaError as error:
        messages.print(one_line(error), markup=False)
        raise SystemExit(error.exit_code) from None


if __name__ == "__main__":
    run()
