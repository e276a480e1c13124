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

    The garbage collector runs before and not in between; in a process that holds much, collecting
    takes long enough for threads to fall asleep, so the warm-up comes after it. Warming up is part
    of every round, not only of the first: it fills the caches that other engines used meanwhile,
    wakes this engine's threads, and outlasts the spinning of the last engine's.
    """
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for _ in range(warmup):
            call()
        durations = []
        for _ in range(calls):
            start = clock()
            call()
            durations.append(clock() - start)
        return durations
    finally:
        if enabled:
            gc.enable()
