"""Where a report goes: each file whole or not at all, and over nothing but an earlier report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from distilroberta.bench.harness import whole_file
from distilroberta.bench.report.canvas import MADE_BY
from distilroberta.runtime.errors import InputError

# All kinds of files name what made them near their start.
_START = 4096


def check(paths: Sequence[Path], sources: Sequence[Path], *, force: bool) -> None:
    """Refuse files that can't or should not be written, before the work.

    Args:
        paths: what will be written.
        sources: what is read, which is never written over.
        force: whether other files than earlier reports may be replaced.

    Raises:
        InputError: a path is named twice or is a source, its folder is not there, or it is a file
            that no report wrote.
    """
    read = {path.resolve() for path in sources}
    if len({path.resolve() for path in paths}) < len(paths):
        raise InputError("two outputs are one file; give each another name")
    for path in paths:
        if path.resolve() in read:
            raise InputError(f"{path} is one of the results; write the report to another file")
        if path.is_dir() or not path.parent.is_dir():
            raise InputError(
                f"{path} can't be written: it must be a file in a folder that is there"
            )
        if path.exists() and not force and not _ours(path):
            raise InputError(f"{path} is there and is no report; replace it with --force")


def _ours(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return MADE_BY.encode() in file.read(_START)
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror}") from error


def write(contents: Mapping[Path, bytes]) -> None:
    """Write files, each whole or not at all.

    Raises:
        BenchError: one could not be written; it is as it was.
    """
    for path, content in contents.items():
        whole_file.write_bytes(path, content)
