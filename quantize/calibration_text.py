"""Texts to calibrate on, read line by line.

What a model computes for them decides ranges and roundings, so they should be like the texts it
will see. A file is read anew for each pass and never held: it may be of any size.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from distilroberta.quantize.quality.text_file import lines
from distilroberta.runtime.errors import InputError
from distilroberta.runtime.tasks.tokenizer import Text

# Texts of many kinds, for when there are none of the user's own. Some are what nobody would write,
# and two are about as long as the model takes: a range holds only for what was seen.
DEFAULT = Path(__file__).with_name("calibration.txt")

_JSON_LINES = frozenset({".jsonl", ".ndjson"})
_PAIR = 2

# Called with how many texts of a pass are done, and how many there are.
Progress = Callable[[int, int], None]


class Texts:
    """The texts of a file in UTF-8: a line each, or JSON lines (`.jsonl`, `.ndjson`).

    A JSON line is a string, a list of two strings (a pair), or an object with a member `text` or,
    without it, at least one string, of which the first is taken. Empty texts are left out.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        progress: Progress | None = None,
    ) -> None:
        """Take the texts of a file, by default the package's own.

        Args:
            path: the file. It is read once for each pass, so a pipe won't do.
            progress: called after each text of a pass. Then they are counted before the first one.

        Raises:
            InputError: there is no such file.
        """
        self.path = DEFAULT if path is None else Path(path)
        if not self.path.is_file():
            raise InputError(f"calibration texts: {self.path} is not a file")
        self._progress = progress
        self._total: int | None = None

    def __iter__(self) -> Iterator[Text]:
        """Yield each text.

        Raises:
            InputError: the file can't be read, a line is not what it should be, or all are empty.
        """
        if self._progress is None:
            yield from self._texts()
            return
        if self._total is None:
            self._total = self.count()
        for done, text in enumerate(self._texts(), 1):
            yield text
            self._progress(done, self._total)

    def count(self) -> int:
        """Read all texts once and return how many there are.

        Raises:
            InputError: as when they are iterated over.
        """
        return sum(1 for _ in self._texts())

    def _texts(self) -> Iterator[Text]:
        parse = self._of_json if self.path.suffix.lower() in _JSON_LINES else self._of_line
        parsed = (parse(line, number) for number, line in lines(self.path) if line.strip())
        found = False
        for text in (text for text in parsed if text):
            found = True
            yield text
        if not found:
            raise InputError(f"{self.path} holds no text to calibrate on")

    def _of_line(self, line: str, _: int) -> Text:
        return line.strip()

    def _of_json(self, line: str, number: int) -> Text:
        where = f"{self.path}, line {number}"
        try:
            text = _text_of(json.loads(line))
        except (ValueError, RecursionError) as error:
            raise InputError(f"{where} is not JSON: {error}") from error
        if text is None:
            raise InputError(
                f"{where} holds no text: must be a string, two strings, or an object with a member "
                "text"
            )
        try:
            "".join(text).encode()
        except UnicodeEncodeError as error:
            raise InputError(
                f"{where} holds a lone surrogate (half of a UTF-16 pair), which is no character: "
                "replace it"
            ) from error
        return text


def _text_of(tree: Any) -> Text | None:
    if isinstance(tree, dict):
        strings = (value for value in tree.values() if isinstance(value, str))
        tree = tree.get("text", next(strings, None))
    if isinstance(tree, str):
        return tree.strip()
    if isinstance(tree, list) and len(tree) == _PAIR and all(isinstance(one, str) for one in tree):
        return tree[0], tree[1]
    return None
