"""The innermost loop: calls, one by one, between two readings of the clock."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any


def time_calls(
    call: Callable[[], Any],
    *,
    warmup: int,
    calls: int,
    clock: Callable[[], int] = time.perf_counter_ns,
) -> list[int]:
    """Time each of several calls, in nanoseconds, after some that are not timed.

    The garbage collector does not run in between. Warming up is part of every round, not only of
    the first: it fills the caches that other engines used meanwhile, wakes this engine's threads,
    and outlasts the spinning of the last engine's.
    """
    for _ in range(warmup):
        call()
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        durations = []
        for _ in range(calls):
            start = clock()
            call()
            durations.append(clock() - start)
        return durations
    finally:
        if enabled:
            gc.enable()
