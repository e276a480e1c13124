"""Several runs of one session at once.

Threads inside of one run wait for each other at the end of every operator. Runs beside each other
do not, so of many batches as many are in the session at once as it has threads. A session may be
run from many threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock, Thread
from typing import TypeVar

_Work = TypeVar("_Work")


def for_each(work: Sequence[_Work], do: Callable[[_Work], None], workers: int) -> None:
    """Call `do` with each piece of work, in up to `workers` threads, this one among them.

    Returns when all is done, or as soon as what has begun has ended after an error.

    Raises:
        The first error that `do` raised, or a thread that could not be started.
    """
    workers = min(workers, len(work))
    if workers <= 1:
        for piece in work:
            do(piece)
        return
    waiting = iter(work)
    lock = Lock()
    errors: list[BaseException] = []

    def serve() -> None:
        while not errors:
            with lock:
                piece = next(waiting, None)
            if piece is None:
                return
            try:
                do(piece)
            except BaseException as error:  # handed to the caller, who raises it
                errors.append(error)

    helpers = _start(serve, workers - 1, errors)
    serve()
    for helper in helpers:
        helper.join()
    if errors:
        raise errors[0]


def _start(serve: Callable[[], None], count: int, errors: list[BaseException]) -> list[Thread]:
    """Start threads, as many as can be; an error ends those that have started."""
    started = []
    try:
        for _ in range(count):
            thread = Thread(target=serve, daemon=True)
            thread.start()
            started.append(thread)
    except BaseException as error:  # handed to the caller, who raises it
        errors.append(error)
    return started
