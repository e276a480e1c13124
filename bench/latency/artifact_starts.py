"""How long fresh processes take to the first answer of an artifact's variants.

Seconds are from the first import to the first answer of one text, as in `cold_start`, and those of
them until the pipeline was loaded; the interpreter's own start is left out. A first process of each
is thrown away: it fills the page cache. The order of the others is drawn anew for each round.
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
# TensorRT builds its engine before the first answer.
_PATIENCE_SECONDS = 600


class Setup(NamedTuple):
    """A variant on a provider."""

    variant: str
    provider: str


class Start(NamedTuple):
    """The seconds of one process: importing what is needed, loading, and the first answer."""

    imports: float
    load: float
    first_answer: float

    @property
    def loaded(self) -> float:
        """Seconds from the first import to a pipeline that is ready."""
        return self.imports + self.load

    @property
    def total(self) -> float:
        """Seconds from the first import to the first answer."""
        return sum(self)


class Starts(NamedTuple):
    """The starts of each engine's processes, and why an engine has none."""

    starts: dict[str, list[Start]]
    failed: dict[str, str]


def start(name: str, artifact: Artifact, setup: Setup, text: str, threads: int) -> Start:
    """Start one process and return the seconds of its stages.

    Raises:
        WorkerError: it failed; `name` is what the error calls it.
    """
    arguments = (str(artifact.path), artifact.task, *setup, str(threads), text)
    begun = repr(time.monotonic())
    lines = fresh_process.lines(name, _CHILD, begun, *arguments, patience=_PATIENCE_SECONDS)
    found = list(lines)
    if len(found) != 1:
        raise BenchError(f"{name}: wrote {len(found)} results, must be 1")
    seconds = found[0]
    return Start(seconds["imports"], seconds["load"], seconds["first answer"])


def measure(
    engines: Sequence[str],
    start: Callable[[str], Start],
    rounds: int,
    *,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _: None,
    keep: Callable[[Mapping[str, Sequence[Start]]], object] = lambda _: None,
) -> Starts:
    """Start every engine once in every round, after one that is left out.

    Args:
        engines: their names.
        start: starts one process and returns its stages.
        rounds: how many processes of each are timed; 0 starts none.
        seed: of the order in each round.
        progress: called with what is done.
        keep: called after each round with the starts so far.
    """
    order = random.Random(seed)  # noqa: S311 - an order, no secret
    starts: dict[str, list[Start]] = {name: [] for name in engines}
    failed: dict[str, str] = {}
    for number in range(rounds + 1 if rounds else 0):
        progress(f"cold start {number} of {rounds}")
        for name in order.sample(list(starts), len(starts)):
            try:
                found = start(name)
            except WorkerError as error:
                failed[name] = error.reason
                del starts[name]
                continue
            if number:
                starts[name].append(found)
        keep(starts)
    return Starts(starts, failed)
