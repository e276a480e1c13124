"""Giving memory that is free back to the system.

glibc's allocator keeps what was freed for the next request, and more of it the larger the pieces
were; `malloc_trim` (see malloc_trim(3)) gives it back. Other systems give it back by themselves, or
have no such call.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable


def _find_trim() -> Callable[[int], int] | None:
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none


_TRIM = _find_trim()


def release() -> None:
    """Give the memory this process freed back to the system, where that has to be asked for."""
    if _TRIM is not None:
        _TRIM(0)
