"""Rounds of several engines, one engine after the other, in an order that changes every round.

What disturbs a machine (another process, heat, frequency) lasts longer than a round. Engines
measured one after the other in full would each meet another machine; here every engine meets the
same one in every round, and a ratio is taken inside a round before the median is.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Protocol

import numpy as np

from distilroberta.bench.errors import BenchError
from distilroberta.bench.workload import Workload
from distilroberta.runtime.errors import InputError

# Milliseconds of each round, by engine and workload name.
Samples = Mapping[tuple[str, str], Sequence[float]]


class Timed(Protocol):
    """An engine that can be timed; `processes.Worker` is one."""

    @property
    def name(self) -> str:
        """What tables and errors call it."""

    def time(self, workload: Workload, warmup: int, calls: int) -> list[int]:
        """Run one round and return nanoseconds, one for each timed call."""


@dataclass(frozen=True)
class Plan:
    """How much is measured: `rounds`, each of `warmup` untimed and `calls` timed calls.

    `seed` decides the order of the engines in every round.
    """

    rounds: int = 15
    warmup: int = 2
    calls: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse a plan that measures nothing.

        Raises:
            InputError: rounds or calls are not positive, or the warm-up is negative.
        """
        if self.rounds < 1 or self.calls < 1 or self.warmup < 0:
            raise InputError(
                "rounds and calls must be 1 or more and the warm-up 0 or more, found "
                f"{self.rounds}, {self.calls} and {self.warmup}"
            )


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


def measure(
    engines: Sequence[Timed],
    workloads: Sequence[Workload],
    plan: Plan,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[tuple[str, str], list[float]]:
    """Time every engine on every workload, interleaved.

    A first round is run and thrown away: it pays for what an engine does once.

    Returns:
        For each (engine, workload) name, each round's median call, in milliseconds.
    """
    order = random.Random(plan.seed)  # noqa: S311 - an order, no secret
    samples: dict[tuple[str, str], list[float]] = {
        (engine.name, workload.name): [] for engine in engines for workload in workloads
    }
    for number in range(plan.rounds + 1):
        progress(f"round {number} of {plan.rounds}")
        for workload in workloads:
            for engine in order.sample(list(engines), len(engines)):
                durations = engine.time(workload, plan.warmup, plan.calls)
                if number:
                    samples[engine.name, workload.name].append(median(durations) / 1e6)
    return samples
