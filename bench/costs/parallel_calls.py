"""Threads that call pipelines at once: what a process of `oversubscription` runs."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any


def durations(
    calls: Sequence[Callable[[], Any]], warmup: float, seconds: float
) -> list[list[float]]:
    """Call each of several functions over and over, each in a thread of its own, all at once.

    Args:
        calls: the functions.
        warmup: seconds at the beginning that do not count.
        seconds: how long the calls count, by when they end.

    Returns:
        The seconds of the calls that count, for each function.
    """
    ready = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> list[float]:
        ready.wait()
        begin = time.perf_counter() + warmup
        found: list[float] = []
        while True:
            start = time.perf_counter()
            call()
            end = time.perf_counter()
            if end > begin + seconds:
                return found
            if end > begin:
                found.append(end - start)

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def main(arguments: list[str]) -> None:
    """Load the pipelines, call them, and write the seconds of the calls as a line of JSON."""
    asked = json.loads(arguments[0])
    from distilroberta.runtime import pipeline
    from distilroberta.runtime.execution.provider_options import CpuOptions

    pipelines = [
        pipeline(
            None,
            asked["artifact"],
            variant=asked["variant"],
            provider=CpuOptions(spinning=asked["spinning"]),
            threads=asked["threads"],
        )
        for _ in range(asked["sessions"])
    ]
    text = asked["text"]
    answers = [answer(text) for answer in pipelines]
    calls = [partial(answer, text) for answer in pipelines]
    found = durations(calls * asked["callers_of_each"], asked["warmup"], asked["seconds"])
    sys.stdout.write(json.dumps({"answers": answers, "durations": found}) + "\n")
