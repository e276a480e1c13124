"""The lines of a text file, strictly in UTF-8."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from distilroberta.quantize.quality.errors import DataError


def lines(path: Path) -> Iterator[tuple[int, str]]:
    r"""Yield the number, from 1, and the text of each line, without its end.

    Only `\n` and `\r\n` end a line: `str.splitlines` would also cut at a form feed or U+2028, which
    stand inside real texts. A byte order mark at the start is left out.

    Raises:
        DataError: the file can't be read, or a line is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            for number, content in enumerate(file, 1):
                yield number, _decode(path, number, content)
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}") from error


def _decode(path: Path, number: int, content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}, line {number}: byte 0x{content[error.start]:02x} is not UTF-8; convert the "
            "file to UTF-8"
        ) from error
    return text.removesuffix("\n").removesuffix("\r")
