"""How long fresh processes take to the first answer of an artifact's variants.

Seconds are from the first import to the first answer of one text, as in `cold_start`; the
interpreter's own start is left out. A first process of each is thrown away: it fills the page
cache. The order of the others is drawn anew for each round.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from distilroberta.bench.errors import BenchError, WorkerError
from distilroberta.bench.harness import fresh_process
from distilroberta.runtime import Artifact

_CHILD = "distilroberta.bench.latency.first_call"
_STAGES = ("imports", "load", "first answer")
# TensorRT builds its engine before the first answer.
_PATIENCE_SECONDS = 600


class Setup(NamedTuple):
    """A variant on a provider."""

    variant: str
    provider: str


class Starts(NamedTuple):
    """The seconds of each process by engine, and why an engine has none."""

    seconds: dict[str, list[float]]
    failed: dict[str, str]


def start(name: str, artifact: Artifact, setup: Setup, text: str, threads: int) -> float:
    """Start one process and return its seconds to the first answer.

    Raises:
        WorkerError: it failed; `name` is what the error calls it.
    """
    arguments = (str(artifact.path), artifact.task, *setup, str(threads), text)
    begun = repr(time.monotonic())
    lines = fresh_process.lines(name, _CHILD, begun, *arguments, patience=_PATIENCE_SECONDS)
    found = list(lines)
    if len(found) != 1:
        raise BenchError(f"{name}: wrote {len(found)} results, must be 1")
    return float(sum(found[0][stage] for stage in _STAGES))


def measure(
    engines: Sequence[str],
    start: Callable[[str], float],
    rounds: int,
    *,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _: None,
    keep: Callable[[Mapping[str, Sequence[float]]], object] = lambda _: None,
) -> Starts:
    """Start every engine once in every round, after one that is left out.

    Args:
        engines: their names.
        start: starts one and returns its seconds.
        rounds: how many processes of each are timed; 0 starts none.
        seed: of the order in each round.
        progress: called with what is done.
        keep: called after each round with the seconds so far.
    """
    order = random.Random(seed)  # noqa: S311 - an order, no secret
    seconds: dict[str, list[float]] = {name: [] for name in engines}
    failed: dict[str, str] = {}
    for number in range(rounds + 1 if rounds else 0):
        progress(f"cold start {number} of {rounds}")
        for name in order.sample(list(seconds), len(seconds)):
            try:
                found = start(name)
            except WorkerError as error:
                failed[name] = error.reason
                del seconds[name]
                continue
            if number:
                seconds[name].append(found)
        keep(seconds)
    return Starts(seconds, failed)
