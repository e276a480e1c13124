"""A results file's JSON, read field by field with the type each must have."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from distilroberta.runtime.checks import shown
from distilroberta.runtime.errors import InputError

# Every round of every engine is far from this; what is larger was not written by a benchmark.
_MOST_BYTES = 64 << 20


class Fields:
    """One JSON object. Errors name the file and the place in it, and what is wrong there."""

    def __init__(self, tree: Any, where: str) -> None:
        """Take what `json.loads` returned.

        Raises:
            InputError: it is no object.
        """
        if not isinstance(tree, dict):
            raise InputError(f"{where} must be an object, found {shown(tree)}")
        self.tree: dict[str, Any] = tree
        self.where = where

    def wrong(self, name: str, needed: str) -> InputError:
        """Return the error for a field that is not what it must be."""
        found = shown(self.tree[name]) if name in self.tree else "nothing"
        return InputError(f"{self.where}: {name!r} must be {needed}, found {found}")

    def missing(self, name: str) -> bool:
        """Return whether a field is null or not there: the same, it was not measured."""
        return self.tree.get(name) is None

    def text(self, name: str) -> str:
        """Return a string."""
        value = self.tree.get(name)
        if not isinstance(value, str):
            raise self.wrong(name, "a string")
        return value

    def optional_text(self, name: str) -> str | None:
        """Return a string, or None where there is none."""
        return None if self.missing(name) else self.text(name)

    def flag(self, name: str) -> bool:
        """Return true or false."""
        value = self.tree.get(name)
        if not isinstance(value, bool):
            raise self.wrong(name, "true or false")
        return value

    def number(self, name: str) -> float:
        """Return a finite number."""
        value: Any = self.tree.get(name)
        if not _is_number(value):
            raise self.wrong(name, "a number")
        return float(value)

    def optional_number(self, name: str) -> float | None:
        """Return a finite number, or None where there is none."""
        return None if self.missing(name) else self.number(name)

    def positive(self, name: str) -> float:
        """Return a finite number above 0: a time or a ratio."""
        value = self.number(name)
        if value <= 0:
            raise self.wrong(name, "above 0")
        return value

    def whole(self, name: str) -> int:
        """Return a whole number from 0 up: a count or a size."""
        value = self.tree.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 63:
            raise self.wrong(name, "a whole number from 0 up")
        return value

    def optional_whole(self, name: str) -> int | None:
        """Return a whole number from 0 up, or None where there is none."""
        return None if self.missing(name) else self.whole(name)

    def numbers(self, name: str) -> tuple[float, ...]:
        """Return a list of finite numbers above 0."""
        values = self.tree.get(name)
        if not isinstance(values, list) or not all(
            _is_number(value) and value > 0 for value in values
        ):
            raise self.wrong(name, "a list of numbers above 0")
        return tuple(map(float, values))

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of strings."""
        values = self.tree.get(name)
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise self.wrong(name, "a list of strings")
        return tuple(values)

    def named_texts(self, name: str) -> dict[str, str]:
        """Return an object of strings, empty where there is none."""
        if self.missing(name):
            return {}
        inner = self.inner(name)
        return {key: inner.text(key) for key in inner.tree}

    def inner(self, name: str) -> Fields:
        """Return an object."""
        return Fields(self.tree.get(name), f"{self.where}: {name!r}")

    def named(self, name: str) -> dict[str, Fields]:
        """Return an object of objects."""
        inner = self.inner(name)
        return {key: inner.inner(key) for key in inner.tree}

    def listed(self, name: str) -> list[Fields]:
        """Return a list of objects."""
        values = self.tree.get(name)
        if not isinstance(values, list):
            raise self.wrong(name, "a list")
        return [
            Fields(value, f"{self.where}: {name!r}[{place}]") for place, value in enumerate(values)
        ]


def read(path: Path) -> Fields:
    """Read a file of one JSON object.

    Raises:
        InputError: it can't be read, is too large, or holds something else.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror}") from error
    if len(content) > _MOST_BYTES:
        raise InputError(f"{path} is larger than {_MOST_BYTES >> 20} MiB: it is no results file")
    try:
        tree = json.loads(content.decode("utf-8"), parse_constant=_no_constant)
        # Half a surrogate pair (\ud800) can be read, but not written again.
        json.dumps(tree, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no results file, it is not JSON: {error}") from error
    return Fields(tree, str(path))


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _is_number(value: Any) -> bool:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number with hundreds of digits
        return False
