"""What becomes of loaded sessions in a process that was forked.

A fork copies onnxruntime's memory but not its threads. Running an inherited session waits for
threads that are not there, and so can tearing it down. In the child, each session is therefore left
as it is, for ever, and opened again when it is needed.

Python runs a hook in each child that it forks. A fork by C code runs none; it is noticed by the
process's number when a session is used.
"""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from typing import Any, Protocol


class Inheritable(Protocol):
    """What has something loaded that a child can't use."""

    def abandon(self) -> None:
        """Forget what was loaded, without tearing it down."""


_WATCHED: weakref.WeakSet[Inheritable] = weakref.WeakSet()
_process = os.getpid()
_noticing = threading.Lock()


def watch(inheritable: Inheritable) -> None:
    """Have `abandon` called in each child that is forked from now on, before anything else runs."""
    _WATCHED.add(inheritable)


def notice() -> None:
    """Have `abandon` called if this process was forked and no hook has done it. Takes 0.2 us."""
    if os.getpid() != _process:
        with _noticing:
            if os.getpid() != _process:
                _abandon_all()


def never_free(thing: Any) -> None:
    """Keep an object for as long as the process lives, the teardown of the interpreter included.

    A global would not do: the interpreter frees those when it ends.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def _abandon_all() -> None:
    global _process
    for inheritable in list(_WATCHED):
        inheritable.abandon()
    _process = os.getpid()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_all)
