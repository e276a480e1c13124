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
# A call that takes so long needs no warm-up.
_LONG_SECONDS = 2.0
# A first call of more than so many times a round's seconds is not repeated to see how long a usual
# one is. It can be much longer: memory is touched for the first time, code is compiled.
_MUCH_LONGER = 5


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
    one at the least. The warm-up is shorter then too, and as long for all engines of a workload: a
    ratio of one that is warm to one that is not would favour the first. Without any is measured
    only where a call takes seconds, of which threads and caches are warm after a fraction.
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

    def fitted_calls(self, seconds: float) -> int:
        """Return the timed calls of a round for an engine whose call takes so many seconds."""
        return self.calls if self.seconds is None else min(self.calls, max(1, self._room(seconds)))

    def fitted_warmup(self, slowest: float) -> int:
        """Return the warm-up of a round where the slowest engine's call takes so many seconds."""
        if self.seconds is None:
            return self.warmup
        least = 1 if slowest < _LONG_SECONDS else 0
        return min(self.warmup, max(least, self._room(slowest)))

    def _room(self, seconds: float) -> int:
        assert self.seconds is not None
        return int(self.seconds / seconds) if seconds > 0 else max(self.calls, self.warmup)


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
        self._seconds: dict[Key, float] = {}
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
        if first:
            durations = self._first(engine, workload)
            self._seconds[key] = min(durations) / 1e9
            return durations
        if key in self._revived:  # its new process has not paid yet for what is done once
            engine.time(workload, 0, 1)
            self._revived.remove(key)
        slowest = max(
            seconds for (_, name), seconds in self._seconds.items() if name == workload.name
        )
        warmup = self._plan.fitted_warmup(slowest)
        return engine.time(workload, warmup, self._plan.fitted_calls(self._seconds[key]))

    def _first(self, engine: Timed, workload: Workload) -> list[int]:
        if self._plan.seconds is None:
            return engine.time(workload, self._plan.warmup, self._plan.calls)
        durations = engine.time(workload, 0, 1)
        if durations[0] / 1e9 > _MUCH_LONGER * self._plan.seconds:
            return durations
        return engine.time(workload, 1, 2)

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
            self._revived |= {key for key in self._seconds if key[0] == engine.name}

    def _fail(self, key: Key, reason: str) -> None:
        self.failed[key] = reason
        self.calls.pop(key, None)
