from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from distilroberta.bench.harness import busy
from distilroberta.bench.harness.busy import CpuTimes, Watch, own_seconds, read_stat


def watched(
    used: float = 0, own: float = 0, stolen: float = 0, seconds: float = 10, cpus: int = 2
) -> Watch:
    """A watch that found these differences over so many seconds."""

    def read(*values: float) -> Callable[[], float]:
        return iter(values).__next__

    counts = iter([CpuTimes(1000, 50, cpus), CpuTimes(1000 + used, 50 + stolen, cpus)])
    return Watch(
        read(7, 7 + own), counts=counts.__next__, clock=read(3_000_000, 3_000_000 + seconds)
    )


def test_what_others_used_is_what_we_did_not() -> None:
    (warning,) = watched(used=27, own=20).warnings(2)
    assert warning == "other processes used up to 0.7 of 2 CPUs while this was measured"
    assert watched(used=20, own=20).warnings(2) == []
    assert watched(used=18, own=20).warnings(2) == []  # the kernel counts in steps


@pytest.mark.parametrize(("others", "warned"), [(0.9, False), (1.1, True)])
def test_a_progress_bar_is_not_worth_a_word(others: float, warned: bool) -> None:
    # 10 s on 2 CPUs: 5 % of them is 1 s.
    assert bool(watched(used=20 + others, own=20).warnings(2)) is warned


@pytest.mark.parametrize(("others", "warned"), [(59, False), (65, True), (75, True)])
def test_others_matter_where_too_little_is_left(others: float, warned: bool) -> None:
    # 8 CPUs of which we use 2: others may have the other 6.
    assert bool(watched(used=others + 20, own=20, cpus=8).warnings(2)) is warned


def test_what_the_host_withheld() -> None:
    assert watched(stolen=5).warnings(2) == [
        "the machine's host withheld up to 0.5 CPUs while this was measured"
    ]
    assert watched(stolen=0.9).warnings(2) == []
    assert len(watched(used=30, stolen=5).warnings(2)) == 2


def test_it_is_said_where_nothing_is_counted() -> None:
    untold = ["this system does not tell whether others used its CPUs meanwhile"]
    assert Watch(counts=lambda: None).warnings(1) == untold
    assert watched(used=30, seconds=0).warnings(2) == untold


def test_one_busy_round_of_many_is_told() -> None:
    # Ten rounds of 10 s; others use a whole CPU in the fourth.
    used, time_ = 0.0, 0.0

    def counts() -> CpuTimes:
        return CpuTimes(used, 0, 2)

    watch = Watch(lambda: 0.0, counts=counts, clock=lambda: time_)
    for number in range(10):
        used, time_ = used + (10 if number == 3 else 0), time_ + 10
        watch.lap()
    (warning,) = watch.warnings(2)
    assert warning == (
        "other processes used up to 1.0 of 2 CPUs while this was measured, in 1 of 10 rounds"
    )


def test_short_rounds_are_counted_together() -> None:
    used, time_ = 0.0, 0.0
    watch = Watch(lambda: 0.0, counts=lambda: CpuTimes(used, 0, 2), clock=lambda: time_)
    for _ in range(10):  # the kernel's steps: 10 ms in a round of 50
        used, time_ = used + 0.01, time_ + 0.05
        watch.lap()
    (warning,) = watch.warnings(2)
    assert warning == "other processes used up to 0.2 of 2 CPUs while this was measured"


def test_the_kernels_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stat = tmp_path / "stat"
    # user nice system idle iowait irq softirq steal guest guest_nice: see proc_stat(5).
    stat.write_text(
        "cpu  100 20 30 4000 500 6 7 80 9 1\n"
        "cpu0 50 10 15 2000 250 3 3 40 4 0\n"
        "cpu1 50 10 15 2000 250 3 4 40 5 1\n"
        "intr 12345 0 1\n"
        "ctxt 678\n",
        "utf-8",
    )
    monkeypatch.setattr(busy, "_STAT", stat)
    monkeypatch.setattr(busy.os, "sysconf", {"SC_CLK_TCK": 100}.__getitem__)
    assert read_stat() == CpuTimes(1.63, 0.8, 2)
    stat.unlink()
    assert read_stat() is None


def test_this_machine_is_counted() -> None:
    before, own = read_stat(), own_seconds()
    end = time.perf_counter() + 0.2
    while time.perf_counter() < end:
        pass
    after = read_stat()
    assert own_seconds() - own > 0.03
    assert before is not None
    assert after is not None
    assert after.cpus == before.cpus >= 1
    assert after.used >= before.used + 0.03
