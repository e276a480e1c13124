"""CoNLL columns: a word and its annotations on each line, a blank line between sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from distilroberta.quantize.quality.columns import Columns
from distilroberta.quantize.quality.errors import DataError
from distilroberta.quantize.quality.tables import Row
from distilroberta.quantize.quality.text_file import lines

_DOCUMENT = "-DOCSTART-"
# Not `split()`, which also splits at a no-break space inside a word.
_GAP = re.compile(r"[ \t]+")


def read_conll(path: Path, columns: Columns) -> Iterator[Row]:
    """Yield the sentences of a file as rows of `words` and `labels`.

    Args:
        path: the file. Lines that begin with -DOCSTART- part documents and are left out.
        columns: the numbers, from 1, of the columns of `words` and `labels`; by default the first
            and the last.

    Raises:
        DataError: it can't be read, or a line has another number of columns than the first one.
    """
    words: list[str] = []
    labels: list[str] = []
    start, width = 0, 0
    for at, line in lines(path):
        cells = [cell for cell in _GAP.split(line) if cell]
        if not cells or cells[0].startswith(_DOCUMENT):
            if words:
                yield _row(path, start, words, labels)
                words, labels = [], []
            continue
        if not width:
            width = len(cells)
            word_at, label_at = _places(path, at, width, columns)
        if len(cells) != width:
            raise DataError(
                f"{path}, line {at}: has {len(cells)} columns, the lines before have {width}"
            )
        if not words:
            start = at
        words.append(cells[word_at])
        labels.append(cells[label_at])
    if words:
        yield _row(path, start, words, labels)


def _row(path: Path, at: int, words: list[str], labels: list[str]) -> Row:
    return Row(f"{path}, line {at}", {"words": words, "labels": labels})


def _places(path: Path, at: int, width: int, columns: Columns) -> tuple[int, int]:
    chosen = {"words": "1", "labels": str(width), **columns}
    for name in chosen.values():
        if not name.isdecimal() or not 1 <= int(name) <= width:
            raise DataError(
                f"{path}, line {at}: has {width} columns, which are named by their numbers from "
                f"1 up, not {name!r}"
            )
    words, labels = int(chosen["words"]), int(chosen["labels"])
    if words == labels:
        raise DataError(
            f"{path}, line {at}: a line needs a word and a label, found {width} columns"
        )
    return words - 1, labels - 1
