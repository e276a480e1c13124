from __future__ import annotations

import gc

import pytest

from distilroberta.bench.errors import BenchError
from distilroberta.bench.interleave import Plan, Spread, measure, ratio
from distilroberta.bench.timing import time_calls
from distilroberta.bench.workload import Workload
from distilroberta.runtime import InputError

MILLISECOND = 1_000_000


class Machine:
    """Gets slower round by round, as a machine does that others begin to use."""

    def __init__(self) -> None:
        self.served: list[str] = []


class Fake:
    def __init__(self, name: str, milliseconds: float, machine: Machine, engines: int) -> None:
        self.name, self.milliseconds, self.machine = name, milliseconds, machine
        self.engines = engines

    def time(self, workload: Workload, warmup: int, calls: int) -> list[int]:
        number = len(self.machine.served) // self.engines
        self.machine.served.append(self.name)
        length = len(workload.ids[0])
        # The first call of a round is an outlier, and the machine is 10 % slower every round.
        usual = int(self.milliseconds * length * 1.1**number * MILLISECOND)
        return [100 * usual, *[usual] * (calls - 1)]


def test_the_ratio_of_two_engines_on_a_machine_that_slows_down(workload: Workload) -> None:
    machine = Machine()
    engines = [Fake("fast", 1, machine, 2), Fake("slow", 2, machine, 2)]
    samples = measure(engines, [workload], Plan(rounds=20, calls=3))
    fast, slow = (samples[engine.name, workload.name] for engine in engines)
    assert len(fast) == 20
    assert fast[0] == pytest.approx(4 * 1.1)  # the first round of all is not counted
    assert fast[-1] > 5 * fast[0]
    found = ratio(slow, fast)
    assert (found.median, found.low, found.high) == pytest.approx((2, 2, 2))


def test_every_round_has_every_engine_in_a_changing_order(workload: Workload) -> None:
    machine = Machine()
    names = ["a", "b", "c"]
    measure([Fake(n, 1, machine, 3) for n in names], [workload], Plan(rounds=30, calls=1))
    rounds = [machine.served[start : start + 3] for start in range(0, len(machine.served), 3)]
    assert len(rounds) == 31
    assert all(sorted(one) == names for one in rounds)
    assert len({tuple(one) for one in rounds}) == 6  # every order there is
    again = Machine()
    measure([Fake(n, 1, again, 3) for n in names], [workload], Plan(rounds=30, calls=1))
    assert again.served == machine.served


def test_a_call_is_timed_alone_after_the_warm_up_without_the_collector() -> None:
    events: list[str] = []
    times = iter([10, 17, 20, 31])

    def clock() -> int:
        events.append("clock")
        return next(times)

    def call() -> None:
        events.append("call" if gc.isenabled() else "call without gc")

    assert time_calls(call, warmup=2, calls=2, clock=clock) == [7, 11]
    timed = ["clock", "call without gc", "clock"]
    assert events == ["call", "call", *timed, *timed]
    assert gc.isenabled()


def test_a_call_that_raises_turns_the_collector_on_again() -> None:
    with pytest.raises(ZeroDivisionError):
        time_calls(lambda: 1 // 0, warmup=0, calls=1)
    assert gc.isenabled()


def test_a_spread_is_the_median_and_the_quartiles() -> None:
    assert Spread.of([4, 1, 3, 2, 5]) == Spread(3, 2, 4)
    assert Spread.of([7]) == Spread(7, 7, 7)


def test_a_ratio_needs_paired_rounds() -> None:
    with pytest.raises(BenchError, match="3 and 2"):
        ratio([1, 2, 3], [1, 2])


@pytest.mark.parametrize("wrong", [{"rounds": 0}, {"calls": 0}, {"warmup": -1}])
def test_a_plan_that_measures_nothing_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(InputError, match="1 or more"):
        Plan(**wrong)
