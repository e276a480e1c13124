from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distilroberta.bench.errors import BenchError, WorkerError
from distilroberta.bench.harness.processes import Worker, cpu_seconds
from distilroberta.bench.harness.workload import Workload
from distilroberta.runtime import DistilRobertaError

pytestmark = pytest.mark.usefixtures("_fake_engines")


def worker(
    engine: str, *, interpreter: Path | None = None, patience: float = 60.0, **arguments: Any
) -> Worker:
    name = f"fake_engines:{engine}"
    return Worker(engine, name, arguments, interpreter=interpreter, patience=patience)


def test_a_worker_loads_answers_and_times(workload: Workload) -> None:
    with worker("Steady", shift=1.0) as steady:
        assert steady.loaded.seconds > 0
        assert (steady.loaded.resident_bytes is None) == (steady.resident_bytes() is None)
        np.testing.assert_array_equal(steady.answer(workload), np.arange(8)[None] + 1)
        durations = steady.time(workload, 1, 3)
    assert len(durations) == 3
    assert all(duration >= 0 for duration in durations)


@pytest.mark.parametrize(
    ("engine", "says"),
    [
        ("NoLoad", r"NoLoad: 'load' failed: ValueError: the file is not there"),
        ("DiesLoading", r"DiesLoading: its process ended with code 3.*out of luck"),
        ("Missing", r"Missing: 'load' failed: AttributeError"),
    ],
)
def test_an_engine_that_does_not_load_is_an_error_and_leaves_no_process(
    engine: str, says: str, started: list[subprocess.Popen[bytes]]
) -> None:
    with pytest.raises(WorkerError, match=says) as caught:
        worker(engine)
    assert isinstance(caught.value, BenchError)
    assert isinstance(caught.value, DistilRobertaError)
    assert [process.poll() is not None for process in started] == [True]


def test_an_engine_that_is_never_ready_is_killed(started: list[subprocess.Popen[bytes]]) -> None:
    begun = time.monotonic()
    with pytest.raises(WorkerError, match=r"NeverReady: no answer to 'load' within 0\.5 s"):
        worker("NeverReady", patience=0.5)
    assert time.monotonic() - begun < 30  # it would sleep for 600
    assert [process.poll() is not None for process in started] == [True]


def test_an_engine_that_dies_while_timed_is_an_error(
    workload: Workload, started: list[subprocess.Popen[bytes]]
) -> None:
    with worker("DiesTimed") as dying:
        with pytest.raises(WorkerError, match=r"ended with code 4.*'time'") as caught:
            dying.time(workload, 0, 1)
        assert caught.value.engine == "DiesTimed"
        assert "about to fall" in caught.value.stderr
        with pytest.raises(WorkerError):  # and stays one
            dying.answer(workload)
    assert [process.poll() for process in started] == [4]


def test_an_engine_that_raises_goes_on(workload: Workload) -> None:
    with worker("RaisesTimed") as raising:
        with pytest.raises(WorkerError, match="RuntimeError: no such input") as caught:
            raising.time(workload, 0, 1)
        assert "Traceback" in caught.value.stderr
        assert raising.answer(workload).shape == (1, 8)


def test_an_engine_runs_in_the_environment_it_needs(workload: Workload, python: Path) -> None:
    with worker("Environment", interpreter=python) as engine:
        assert engine.answer(workload) == 7
    with pytest.raises(WorkerError, match="KeyError"), worker("Environment") as engine:
        engine.answer(workload)


def test_the_most_memory_is_no_less_than_what_there_is(workload: Workload) -> None:
    with worker("Steady") as steady:
        resident, peak = steady.resident_bytes(), steady.peak_bytes()
        assert resident is not None
        assert peak is not None
        assert peak >= resident > 1_000_000
        assert peak < 1_000_000_000  # its own, not that of this process or of the machine


def test_the_memory_that_was_given_back_is_in_the_peak(workload: Workload) -> None:
    size = 200_000_000
    with worker("Hoards", size=size) as hoards:
        before = hoards.resident_bytes()
        hoards.answer(workload)
        after, peak = hoards.resident_bytes(), hoards.peak_bytes()
    assert before is not None
    assert after is not None
    assert peak is not None
    assert peak > before + 0.9 * size
    assert after < before + 0.5 * size


def test_the_cpu_time_of_an_engine_is_counted(workload: Workload) -> None:
    with worker("Spins", seconds=0.1) as spins, worker("Sleeps", seconds=0.1) as sleeps:
        taken = []
        for one in (spins, sleeps):
            before = one.cpu_seconds()
            one.time(workload, 0, 1)  # 4 tokens: 0.4 s
            taken.append(one.cpu_seconds() - before)
    assert taken[0] > 0.08 > taken[1]


def test_the_cpu_time_of_a_worker_that_is_gone_is_kept(workload: Workload) -> None:
    start = cpu_seconds([])
    with worker("Spins", seconds=0.1) as spins:
        begun = spins.cpu_seconds()
        spins.time(workload, 0, 1)
        alive = cpu_seconds([spins])
    assert alive - start > 0.1
    assert cpu_seconds([spins]) >= alive - begun - 0.05


def test_an_engine_that_died_is_started_again(
    workload: Workload, started: list[subprocess.Popen[bytes]]
) -> None:
    with worker("DiesAt", workload=workload.name) as dying:
        first = dying.pid
        dying.revive()  # nothing to do
        assert dying.pid == first
        with pytest.raises(WorkerError, match="code 4"):
            dying.time(workload, 0, 1)
        dying.revive()
        assert dying.pid != first
        assert dying.answer(workload).shape == (1, 8)
    assert [process.poll() for process in started] == [4, 0]


def test_an_engine_that_took_too_long_is_started_again(workload: Workload) -> None:
    with worker("Sleeps", patience=2, seconds=1) as slow:  # 4 tokens: 4 s
        with pytest.raises(WorkerError, match=r"no answer to 'time' within 2 s"):
            slow.time(workload, 0, 1)
        slow.revive()
        assert slow.answer(workload).shape == (1, 8)


def test_an_engine_that_cannot_be_started_again(
    workload: Workload, tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    trace = str(tmp_path / "trace")
    with worker("DiesForGood", workload=workload.name, trace=trace) as dying:
        with pytest.raises(WorkerError, match="code 4"):
            dying.time(workload, 0, 1)
        for _ in range(2):
            with pytest.raises(WorkerError, match="ValueError: the file is damaged"):
                dying.revive()
            with pytest.raises(WorkerError, match="its process is gone, asked to 'answer'"):
                dying.answer(workload)
    assert [process.poll() is not None for process in started] == [True] * 3


def test_an_interrupt_of_the_terminal_does_not_reach_the_engine(workload: Workload) -> None:
    with worker("Sleeps", seconds=0.01) as engine:
        os.kill(engine.pid, signal.SIGINT)
        assert len(engine.time(workload, 0, 1)) == 1
        os.kill(engine.pid, signal.SIGINT)
        assert engine.answer(workload).shape == (1, 8)


def test_what_was_asked_before_an_interrupt_is_not_answered_after_it(
    workload: Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: Any) -> Any:
        raise KeyboardInterrupt

    with worker("Steady") as engine:
        with monkeypatch.context() as patched:
            patched.setattr("distilroberta.bench.harness.processes.framing.receive", interrupted)
            with pytest.raises(KeyboardInterrupt):
                engine.time(workload, 0, 1)
        with pytest.raises(WorkerError, match="ended with code -9"):
            engine.answer(workload)
