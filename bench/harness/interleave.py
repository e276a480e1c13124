"""Rounds of several engines, one engine after the other, in an order that changes every round.

What disturbs a machine (another process, heat, frequency) lasts longer than a round. Engines
measured one after the other in full would each meet another machine; here every engine meets the
same one in every round, and a ratio is taken inside a round before the median is.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Protocol

import numpy as np

from distilroberta.bench.errors import BenchError, WorkerError
from distilroberta.bench.harness.workload import Workload
from distilroberta.runtime.errors import InputError

# The names of an engine and of a workload.
Key = tuple[str, str]
# Milliseconds of each round.
Samples = Mapping[Key, Sequence[float]]


class Timed(Protocol):
    """An engine that can be timed; `processes.Worker` is one."""

    @property
    def name(self) -> str:
        """What tables and errors call it."""

    def time(self, workload: Workload, warmup: int, calls: int) -> list[int]:
        """Run one round and return nanoseconds, one for each timed call.

        Raises:
            WorkerError: the engine raised, died or took too long.
        """

    def revive(self) -> None:
        """Make the engine ready again after it raised, died or took too long.

        Raises:
            WorkerError: it can't be.
        """


@dataclass(frozen=True)
class Plan:
    """How much is measured: `rounds`, each of `warmup` untimed and `calls` timed calls.

    `seed` decides the order of the engines in every round. `seconds`, where given, is about how
    long the timed calls of one round may take: where that many calls take longer, there are fewer,
    one at the least, and the warm-up is as much shorter. Caches and threads that need warming are
    warm after a fraction of such a call.
    """

    rounds: int = 15
    warmup: int = 2
    calls: int = 5
    seed: int = 0
    seconds: float | None = None

    def __post_init__(self) -> None:
        """Refuse a plan that measures nothing.

        Raises:
            InputError: rounds, calls or seconds are not positive, or the warm-up is negative.
        """
        if self.rounds < 1 or self.calls < 1 or self.warmup < 0:
            raise InputError(
                "rounds and calls must be 1 or more and the warm-up 0 or more, found "
                f"{self.rounds}, {self.calls} and {self.warmup}"
            )
        if self.seconds is not None and not 0 < self.seconds < math.inf:
            raise InputError(f"the seconds of a round must be more than 0, found {self.seconds}")

    def fitted(self, seconds: float) -> tuple[int, int]:
        """Return the warm-up and the calls of a round for a call that takes so many seconds."""
        if self.seconds is None:
            return self.warmup, self.calls
        room = int(self.seconds / seconds) if seconds > 0 else self.calls
        return min(self.warmup, room), min(self.calls, max(1, room))


@dataclass(frozen=True)
class Spread:
    """The median of some values, and the quartiles around it (25 % and 75 %)."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Summarize at least one value."""
        low, middle, high = np.percentile(values, [25, 50, 75])
        return cls(float(middle), float(low), float(high))


def ratio(numerator: Sequence[float], denominator: Sequence[float]) -> Spread:
    """Summarize the ratio of two engines, taken in each round.

    Raises:
        BenchError: they were not measured in the same rounds.
    """
    if len(numerator) != len(denominator):
        raise BenchError(
            f"a ratio needs paired rounds, found {len(numerator)} and {len(denominator)}"
        )
    return Spread.of([above / below for above, below in zip(numerator, denominator, strict=True)])


class Interleaved:
    """Engines that are timed in rounds, with what is known of them after each.

    `calls` are the milliseconds of every timed call, a list for each round, by engine and workload
    name; every engine that is there for a workload has the same rounds. `failed` says why an engine
    is not there for a workload: it raised, died or took too long. Its other workloads go on if it
    can be started again.
    """

    def __init__(
        self,
        engines: Sequence[Timed],
        workloads: Sequence[Workload],
        plan: Plan,
        *,
        skipped: Mapping[Key, str] | None = None,
        progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Take the engines, what they are run on, and how much.

        Args:
            engines: ready ones.
            workloads: each is run by each engine in every round.
            plan: how often.
            skipped: why an engine is not run on a workload, by their names.
            progress: called with what is done.
        """
        self.failed: dict[Key, str] = dict(skipped or {})
        self.calls: dict[Key, list[list[float]]] = {
            (engine.name, workload.name): [] for workload in workloads for engine in engines
        }
        for key in self.failed:
            self.calls.pop(key, None)
        self._engines, self._workloads, self._plan = list(engines), workloads, plan
        self._progress = progress
        self._fitted: dict[Key, tuple[int, int]] = {}
        self._revived: set[Key] = set()

    def rounds(self) -> Iterator[int]:
        """Run round after round, yielding the number of each once it is done.

        Number 0 is thrown away: it pays for what an engine does once, and tells how long a call is.
        What stops this half-way in a round leaves every workload with equally many rounds of all
        engines.
        """
        order = random.Random(self._plan.seed)  # noqa: S311 - an order, no secret
        for number in range(self._plan.rounds + 1):
            for place, workload in enumerate(self._workloads, 1):
                self._progress(
                    f"round {number} of {self._plan.rounds}, {workload.name} "
                    f"({place} of {len(self._workloads)})"
                )
                self._run(order.sample(self._engines, len(self._engines)), workload, number)
            yield number

    def samples(self) -> dict[Key, list[float]]:
        """Return each round's median call, in milliseconds, by engine and workload name."""
        return {key: [median(calls) for calls in rounds] for key, rounds in self.calls.items()}

    def _run(self, engines: Sequence[Timed], workload: Workload, number: int) -> None:
        found: dict[Key, list[float]] = {}
        for engine in engines:
            key = engine.name, workload.name
            if key in self.failed:
                continue
            try:
                durations = self._time(engine, workload, first=number == 0)
            except WorkerError as error:
                self._drop(engine, workload, error)
                continue
            found[key] = [duration / 1e6 for duration in durations]
        if number:  # all at once, so that an interrupt can't leave one engine a round short
            self.calls.update({key: [*self.calls[key], calls] for key, calls in found.items()})

    def _time(self, engine: Timed, workload: Workload, *, first: bool) -> list[int]:
        key = engine.name, workload.name
        if not first:
            if key in self._revived:  # its new process has not paid yet for what is done once
                engine.time(workload, 0, 1)
                self._revived.remove(key)
            return engine.time(workload, *self._fitted[key])
        if self._plan.seconds is None:
            self._fitted[key] = self._plan.warmup, self._plan.calls
            return engine.time(workload, *self._fitted[key])
        durations = engine.time(workload, 0, 1)
        if durations[0] / 1e9 < self._plan.seconds:  # a first call is longer than the others
            durations = engine.time(workload, 1, 2)
        self._fitted[key] = self._plan.fitted(min(durations) / 1e9)
        return durations

    def _drop(self, engine: Timed, workload: Workload, error: WorkerError) -> None:
        self._fail((engine.name, workload.name), error.reason)
        try:
            engine.revive()
        except WorkerError as another:
            for other in self._workloads:
                if (engine.name, other.name) not in self.failed:
                    reason = f"{error.reason}; it could not be started again: {another.reason}"
                    self._fail((engine.name, other.name), reason)
        else:
            self._revived |= {key for key in self._fitted if key[0] == engine.name}

    def _fail(self, key: Key, reason: str) -> None:
        self.failed[key] = reason
        self.calls.pop(key, None)


def measure(
    engines: Sequence[Timed],
    workloads: Sequence[Workload],
    plan: Plan,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[Key, list[float]]:
    """Time every engine on every workload, interleaved.

    Returns:
        For each (engine, workload) name, each round's median call, in milliseconds.

    Raises:
        BenchError: an engine failed.
    """
    run = Interleaved(engines, workloads, plan, progress=progress)
    for _ in run.rounds():
        for (engine, workload), reason in run.failed.items():
            raise BenchError(f"{engine}, {workload}: {reason}")
    return run.samples()
