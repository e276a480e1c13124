from __future__ import annotations

import gc
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distilroberta.bench.errors import BenchError, WorkerError
from distilroberta.bench.harness import ratio_interval
from distilroberta.bench.harness.interleave import Interleaved, Key, Plan, Spread, Timed, ratio
from distilroberta.bench.harness.timing import time_calls
from distilroberta.bench.harness.workload import Workload
from distilroberta.runtime import InputError

MILLISECOND = 1_000_000


def measure(
    engines: Sequence[Timed], workloads: Sequence[Workload], plan: Plan
) -> dict[Key, list[float]]:
    """Run all rounds."""
    run = Interleaved(engines, workloads, plan)
    for _ in run.rounds():
        assert not run.failed
    return run.samples()


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

    def revive(self) -> None:
        raise AssertionError("it never failed")


class Clocked:
    """An engine on a clock of its own: takes a known time, and fails where it is told to.

    `fails` are the numbers of its calls that fail; `asked` keeps what it was asked for.
    """

    def __init__(self, name: str, seconds: float = 0.01, fails: Sequence[int] = ()) -> None:
        self.name, self.seconds, self.fails = name, seconds, fails
        self.asked: list[tuple[str, int, int]] = []
        self.revived = 0
        self.lasts = True

    def time(self, workload: Workload, warmup: int, calls: int) -> list[int]:
        self.asked.append((workload.name, warmup, calls))
        if len(self.asked) - 1 in self.fails:
            raise WorkerError(self.name, f"it fell at call {len(self.asked) - 1}")
        return [int(self.seconds * 1e9)] * calls

    def revive(self) -> None:
        self.revived += 1
        if not self.lasts:
            raise WorkerError(self.name, "the file is gone")


class Noisy(Clocked):
    """On a machine whose speed drifts, with noise on every call."""

    def __init__(self, name: str, seconds: float, drift: Iterator[float], noise: Any) -> None:
        super().__init__(name, seconds)
        self.drift, self.noise = drift, noise

    def time(self, workload: Workload, warmup: int, calls: int) -> list[int]:
        usual = super().time(workload, warmup, calls)
        slow = next(self.drift)
        return [int(one * slow * math.exp(self.noise.normal(0, 0.05))) for one in usual]


def named(*names: str) -> list[Workload]:
    return [Workload(name, ("",), ((0, 1, 2),), (1,)) for name in names]


@pytest.mark.parametrize("true", [0.5, 1.0, 2.0])
def test_a_known_ratio_is_found_through_drift_and_noise(true: float) -> None:
    # The machine gets three times as slow from the first round to the last.
    drift = iter(np.repeat(np.geomspace(1, 3, 42), 2))
    noise = np.random.default_rng(0)
    engines = [Noisy("one", 0.01, drift, noise), Noisy("other", 0.01 * true, drift, noise)]
    samples = measure(engines, named("w"), Plan(rounds=41, calls=5))
    found = ratio_interval.of(samples["other", "w"], samples["one", "w"])
    assert found.low < true < found.high
    assert found.estimate == pytest.approx(true, rel=0.03)
    assert (found.high - found.low) < 0.06 * true
    assert min(samples["one", "w"]) * 2 < max(samples["one", "w"])  # which the ratio does not show


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
    assert events == ["call without gc", "call without gc", *timed, *timed]
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


@pytest.mark.parametrize("seconds", [0, -1, math.inf, math.nan])
def test_a_round_takes_some_time(seconds: float) -> None:
    with pytest.raises(InputError, match="seconds of a round must be more than 0"):
        Plan(seconds=seconds)


@pytest.mark.parametrize(
    ("call", "asked"),
    [
        (0.001, [(0, 1), (1, 2), (2, 5), (2, 5)]),  # as many as the plan has
        (0.1, [(0, 1), (1, 2), (2, 3), (2, 3)]),  # three fit
        (0.2, [(0, 1), (1, 2), (1, 1), (1, 1)]),
        (0.4, [(0, 1), (1, 2), (1, 1), (1, 1)]),  # none fits: one, after one
        (1.6, [(0, 1), (1, 1), (1, 1)]),  # too long to be run again to see how long it is
        (2.5, [(0, 1), (0, 1), (0, 1)]),  # so long that a part of it warms it
    ],
)
def test_calls_and_warm_up_fit_into_the_seconds(call: float, asked: list[tuple[int, int]]) -> None:
    engine = Clocked("one", call)
    samples = measure([engine], named("w"), Plan(rounds=2, warmup=2, calls=5, seconds=0.301))
    assert [words for _, *words in map(list, engine.asked)] == [list(words) for words in asked]
    assert samples["one", "w"] == [1000 * call] * 2


@given(st.floats(1e-7, 1e3), st.floats(1e-3, 1e3), st.integers(0, 9), st.integers(1, 99))
def test_no_round_takes_longer_than_it_may_but_for_one_call(
    call: float, seconds: float, warmup: int, calls: int
) -> None:
    plan = Plan(warmup=warmup, calls=calls, seconds=seconds)
    fewer, timed = plan.fitted_warmup(call), plan.fitted_calls(call)
    assert 0 <= fewer <= warmup
    assert 1 <= timed <= calls
    assert timed == 1 or timed * call <= seconds * (1 + 1e-9)
    assert timed == calls or (timed + 1) * call > seconds * (1 - 1e-9)
    # One that is not timed may come beside it, where it does not take seconds.
    assert fewer <= 1 or fewer * call <= seconds * (1 + 1e-9)
    assert fewer or not warmup or call >= 2


def test_each_engine_gets_the_calls_that_fit_it_and_all_get_the_same_warm_up() -> None:
    fast, slow = Clocked("fast", 0.001), Clocked("slow", 0.2)
    measure([fast, slow], named("w"), Plan(rounds=1, warmup=3, calls=4, seconds=0.5))
    assert (fast.asked[-1], slow.asked[-1]) == (("w", 2, 4), ("w", 2, 2))


def test_a_first_call_that_is_much_longer_does_not_count() -> None:
    class Compiles(Clocked):
        def time(self, workload: Workload, warmup: int, calls: int) -> list[int]:
            durations = super().time(workload, warmup, calls)
            return [20 * one for one in durations] if len(self.asked) == 1 else durations

    engine = Compiles("compiles", 0.01)
    measure([engine], named("w"), Plan(rounds=1, warmup=2, calls=4, seconds=0.1))
    assert engine.asked[-1] == ("w", 2, 4)


def test_an_engine_that_fails_at_one_workload_goes_on_with_the_others() -> None:
    # Two workloads a round: its fifth call is the first workload of the third round.
    falls, steady = Clocked("falls", fails=[4]), Clocked("steady")
    run = Interleaved([falls, steady], named("v", "w"), Plan(rounds=3))
    assert list(run.rounds()) == [0, 1, 2, 3]
    assert run.failed == {("falls", "v"): "it fell at call 4"}
    assert falls.revived == 1
    assert set(run.calls) == {("falls", "w"), ("steady", "v"), ("steady", "w")}
    assert {len(rounds) for rounds in run.calls.values()} == {3}
    samples = run.samples()
    assert ratio(samples["falls", "w"], samples["steady", "w"]) == Spread(1, 1, 1)
    # Started again, it runs once untimed before it is timed on what is left.
    plan = Plan()
    usual = plan.warmup, plan.calls
    assert falls.asked[5:] == [("w", 0, 1), ("w", *usual), ("w", *usual)]
    assert steady.asked.count(("v", *usual)) == 4


@pytest.mark.parametrize("first", [0, 2])
def test_an_engine_that_cannot_be_started_again_is_left_out(first: int) -> None:
    falls, steady = Clocked("falls", fails=[first]), Clocked("steady")
    falls.lasts = False
    run = Interleaved([falls, steady], named("v", "w"), Plan(rounds=2))
    assert list(run.rounds()) == [0, 1, 2]
    fell = f"it fell at call {first}"
    assert run.failed == {
        ("falls", "v"): fell,
        ("falls", "w"): f"{fell}; it could not be started again: the file is gone",
    }
    assert len(falls.asked) == first + 1
    assert {key: len(rounds) for key, rounds in run.calls.items()} == {
        ("steady", "v"): 2,
        ("steady", "w"): 2,
    }


def test_what_is_skipped_is_not_run() -> None:
    one, other = Clocked("one"), Clocked("other")
    skipped = {("one", "w"): "the model takes 4 tokens"}
    run = Interleaved([one, other], named("v", "w"), Plan(rounds=1), skipped=skipped)
    list(run.rounds())
    assert run.failed == skipped
    assert {name for name, *_ in one.asked} == {"v"}
    assert {name for name, *_ in other.asked} == {"v", "w"}


@pytest.mark.parametrize("last", range(3, 9))
def test_an_interrupt_leaves_the_engines_with_equal_rounds(last: int) -> None:
    class Interrupts(Clocked):
        def time(self, workload: Workload, warmup: int, calls: int) -> list[int]:
            if len(self.asked) == last:
                raise KeyboardInterrupt
            return super().time(workload, warmup, calls)

    names = ("interrupts", "a", "b")
    engines = [(Interrupts if name == "interrupts" else Clocked)(name) for name in names]
    run = Interleaved(engines, named("v", "w"), Plan(rounds=9))
    with pytest.raises(KeyboardInterrupt):
        list(run.rounds())
    for workload in ("v", "w"):
        counts = {len(run.calls[name, workload]) for name in names}
        assert len(counts) == 1
        assert counts.pop() >= last // 2 - 1


def test_an_interrupt_while_progress_is_shown() -> None:
    def progress(line: str) -> None:
        if line == "round 2 of 9, w (2 of 2)":
            raise KeyboardInterrupt

    run = Interleaved([Clocked("one")], named("v", "w"), Plan(rounds=9), progress=progress)
    with pytest.raises(KeyboardInterrupt):
        list(run.rounds())
    assert {key: len(rounds) for key, rounds in run.calls.items()} == {
        ("one", "v"): 2,
        ("one", "w"): 1,
    }
