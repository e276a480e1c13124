"""Files that are whole or not there: written beside their place, then renamed."""

from __future__ import annotations

import os
from pathlib import Path

from distilroberta.bench.errors import BenchError


def write_text(path: Path, text: str) -> None:
    """Write a text as UTF-8, in place of what was there.

    Raises:
        BenchError: it could not be written; what was there still is.
    """
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes, in place of what was there.

    Raises:
        BenchError: they could not be written; what was there still is.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(content)
        os.replace(beside, path)
    except OSError as error:
        raise BenchError(f"{path} could not be written: {error.strerror}") from error
    finally:
        beside.unlink(missing_ok=True)
