from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distilroberta.bench.errors import WorkerError
from distilroberta.bench.harness import ratio_interval, suite
from distilroberta.bench.harness.interleave import Plan
from distilroberta.bench.harness.suite import Comparison, EngineSpec, compare
from distilroberta.bench.harness.workload import Workload

pytestmark = pytest.mark.usefixtures("_fake_engines")

QUICK = Plan(rounds=3, warmup=0, calls=1)


def spec(engine: str, name: str = "", interpreter: Path | None = None, **given: Any) -> EngineSpec:
    words = f"fake_engines:{engine}"
    return EngineSpec(name or engine, words, given, 1, interpreter=interpreter)


def workloads(*names: str) -> list[Workload]:
    return [Workload(name, ("",), ((0, 1, 2, 3),), (1,)) for name in names]


def compared(
    *specs: EngineSpec, names: tuple[str, ...] = ("v", "w"), plan: Plan = QUICK, **more: Any
) -> Comparison:
    return compare(
        specs, workloads(*names), plan, reference=specs[0].name, least_cosine=0.99, **more
    )


def test_engines_of_known_speed_have_their_ratio() -> None:
    # They sleep, which a machine with more to do disturbs least; 4 tokens: 50, 50 and 100 ms.
    specs = [
        spec("Sleeps", name, seconds=seconds)
        for name, seconds in (("one", 0.0125), ("same", 0.0125), ("slow", 0.025))
    ]
    result = compared(*specs, names=("w",), plan=Plan(rounds=9, warmup=0, calls=1))
    one, same, slow = (result.rounds(name, "w") for name in ("one", "same", "slow"))
    assert [len(rounds) for rounds in (one, same, slow)] == [9] * 3
    assert min(*one, *same) >= 50
    assert min(slow) >= 100
    twice, none = ratio_interval.of(slow, one), ratio_interval.of(same, one)
    assert twice.estimate == pytest.approx(2, rel=0.1)
    assert twice.low > 1.5
    assert none.estimate == pytest.approx(1, rel=0.1)
    assert none.low < 1.1
    assert none.high > 0.9
    speed = result.speed("one", "slow", "w")
    assert speed is not None
    assert speed.median == pytest.approx(twice.estimate)


def test_an_engine_that_answers_differently_is_not_timed(
    started: list[subprocess.Popen[bytes]],
) -> None:
    result = compared(spec("Steady"), spec("Reversed"))
    steady, other = result.engines
    assert steady.refused is None
    assert steady.cosine == pytest.approx(1)
    assert {name: len(rounds) for name, rounds in steady.rounds.items()} == {"v": 3, "w": 3}
    assert other.refused == "v: the cosine of its logits is -1.0000, must be 0.99 or more"
    assert other.cosine is None
    assert other.rounds == other.calls == other.failed == {}
    assert other.loaded is not None  # it could be loaded, which is known
    assert result.speed("Reversed", "Steady", "v") is None
    assert [process.poll() for process in started] == [0, 0]


def test_the_right_answers_may_come_from_elsewhere_for_each_engine() -> None:
    right = {"w": np.arange(8, dtype=np.float32)[None]}
    result = compare(
        [spec("Steady"), spec("Reversed"), spec("Steady", "wrong")],
        workloads("v", "w"),
        QUICK,
        least_cosine=0.99,
        expected={
            "Steady": right,
            "Reversed": {"w": -right["w"]},
            "wrong": {"w": right["w"][:, ::-1]},
        },
        checked=workloads("w"),
    )
    steady, other, wrong = result.engines
    assert steady.cosine == other.cosine == pytest.approx(1)
    assert [len(one.rounds["v"]) for one in (steady, other)] == [3, 3]  # timed where not checked
    assert wrong.refused is not None
    assert wrong.refused.startswith("w: the cosine of its logits is")


def test_engines_that_cannot_be_loaded_or_asked_are_left_out(
    started: list[subprocess.Popen[bytes]],
) -> None:
    names = ("Steady", "NoLoad", "DiesLoading", "DiesAsked")
    steady, raised, died, asked = compared(*map(spec, names)).engines
    assert len(steady.rounds["w"]) == 3
    assert raised.refused is not None
    assert raised.refused.endswith("'load' failed: ValueError: the file is not there")
    assert died.refused == (
        "could not be loaded: its process ended with code 3 while asked to 'load'"
    )
    assert asked.refused == "v: its process ended with code 5 while asked to 'answer'"
    assert raised.loaded is died.loaded is None
    assert all(one.rounds == {} and one.resident_bytes is None for one in (raised, died, asked))
    assert all(process.poll() is not None for process in started)


def test_an_engine_that_dies_on_one_workload_is_timed_on_the_others() -> None:
    dies = spec("DiesAt", workload="v")
    steady, died = compared(spec("Steady"), dies, names=("u", "v", "w")).engines
    assert {name: len(rounds) for name, rounds in steady.rounds.items()} == dict.fromkeys("uvw", 3)
    assert {name: len(rounds) for name, rounds in died.rounds.items()} == {"u": 3, "w": 3}
    assert died.failed == {"v": "its process ended with code 4 while asked to 'time'"}
    assert died.refused is None
    assert died.resident_bytes is not None
    assert died.peak_bytes is not None
    assert died.peak_bytes >= died.resident_bytes


def test_an_engine_that_dies_for_good_leaves_the_others_their_rounds(tmp_path: Path) -> None:
    dies = spec("DiesForGood", workload="v", trace=str(tmp_path / "trace"))
    result = compared(spec("Steady"), dies, names=("u", "v", "w"))
    steady, died = result.engines
    assert {name: len(rounds) for name, rounds in steady.rounds.items()} == dict.fromkeys("uvw", 3)
    assert died.rounds == {}
    fell = "its process ended with code 4 while asked to 'time'"
    again = f"{fell}; it could not be started again: 'load' failed: ValueError: the file is damaged"
    assert died.failed == {"u": again, "v": fell, "w": again}
    assert died.resident_bytes is None
    assert result.speed("DiesForGood", "Steady", "u") is None


def test_what_is_known_is_kept_after_every_round() -> None:
    kept: list[Comparison] = []
    result = compared(spec("Steady"), spec("Reversed"), keep=kept.append)
    counts = [{len(rounds) for rounds in one.engines[0].rounds.values()} for one in kept]
    assert counts == [{1}, {2}, {3}]
    assert kept[0].engines[1].refused == result.engines[1].refused
    assert kept[-1].engines[0].rounds == result.engines[0].rounds
    # Every call is there, not only the median.
    assert [len(calls) for calls in result.engines[0].calls["w"]] == [1, 1, 1]


@pytest.mark.parametrize("where", ["keep", "progress"])
def test_an_interrupt_leaves_what_was_kept_and_no_process(
    where: str, started: list[subprocess.Popen[bytes]]
) -> None:
    kept: list[Comparison] = []

    def keep(comparison: Comparison) -> None:
        kept.append(comparison)
        if where == "keep" and len(kept) == 2:
            raise KeyboardInterrupt

    def progress(line: str) -> None:
        if where == "progress" and line.startswith("round 3 of 9, w"):
            raise KeyboardInterrupt

    specs = [spec("Sleeps", name, seconds=0.0001) for name in ("one", "other")]
    with pytest.raises(KeyboardInterrupt):
        compared(*specs, plan=Plan(rounds=9, warmup=0, calls=1), keep=keep, progress=progress)
    assert len(kept) == 2
    for engine in kept[-1].engines:
        assert {name: len(rounds) for name, rounds in engine.rounds.items()} == {"v": 2, "w": 2}
    assert all(process.poll() is not None for process in started)


def test_limits_are_timed_among_the_engines_and_not_asked(python: Path) -> None:
    limit = spec("Environment", "limit", interpreter=python)
    result = compared(spec("Steady"), limits=[limit], names=("w",))
    assert [one.spec.name for one in result.engines] == ["Steady"]
    assert {key: len(rounds) for key, rounds in result.limits.items()} == {("limit", "w"): 3}


@pytest.mark.parametrize("role", ["reference", "limit", "asked"])
def test_without_a_reference_or_a_limit_there_is_no_comparison(
    role: str, started: list[subprocess.Popen[bytes]]
) -> None:
    broken, steady = spec("DiesAsked" if role == "asked" else "NoLoad", "broken"), spec("Steady")
    specs = [steady] if role == "limit" else [broken, steady]
    limits = [broken] if role == "limit" else []
    with pytest.raises(WorkerError, match="broken: "):
        compared(*specs, limits=limits)
    assert len(started) == 2
    assert all(process.poll() is not None for process in started)


def test_what_disturbed_the_run_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Busy:
        def __init__(self, own: Any) -> None:
            self.own, self.start = own, own()

        def lap(self) -> None:
            self.laps = getattr(self, "laps", 0) + 1

        def warnings(self, threads: int) -> list[str]:
            return [f"{self.own() - self.start:.1f} s on {threads} threads"]

    monkeypatch.setattr(suite, "Watch", Busy)
    monkeypatch.setattr(suite, "usable_cpus", lambda: 3)
    # 4 calls of 4 tokens: 0.8 s of CPU, and what starting a process takes.
    spins = spec("Spins", seconds=0.05)
    result = compared(spins, spec("DiesAt", workload="w"), names=("w",))
    (warning,) = result.warnings
    seconds, _, rest = warning.partition(" ")
    assert rest == "s on 3 threads"
    assert float(seconds) > 0.2  # not only this process, which waits
