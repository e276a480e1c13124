from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distilroberta.bench import processes
from distilroberta.bench.errors import BenchError, WorkerError
from distilroberta.bench.interleave import Plan
from distilroberta.bench.processes import Worker
from distilroberta.bench.suite import EngineSpec, compare
from distilroberta.bench.workload import Workload
from distilroberta.runtime import DistilRobertaError

pytestmark = pytest.mark.usefixtures("_fake_engines")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """Every process a worker starts."""
    seen: list[subprocess.Popen[bytes]] = []

    class Watched(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            seen.append(self)

    monkeypatch.setattr(processes.subprocess, "Popen", Watched)
    return seen


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """An interpreter that stands for another environment: it marks its processes."""
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\nFAKE_ENVIRONMENT=7 exec "{sys.executable}" "$@"\n', "utf-8")
    script.chmod(0o755)
    return script


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


def test_a_comparison_refuses_an_engine_that_answers_differently(
    workload: Workload, started: list[subprocess.Popen[bytes]]
) -> None:
    names = ("Steady", "Reversed")
    specs = [EngineSpec(name, f"fake_engines:{name}", {}, 1, ("Steady",)) for name in names]
    plan = Plan(rounds=2, warmup=0, calls=1)
    result = compare(specs, [workload], plan, reference="Steady", least_cosine=0.99)
    steady, other = result.engines
    assert steady.refused is None
    assert steady.cosine == pytest.approx(1)
    assert len(steady.rounds[workload.name]) == 2
    assert other.refused == "4 tokens: the cosine of its logits is -1.0000, must be 0.99 or more"
    assert other.cosine is None
    assert other.rounds == {}
    assert result.speed("Reversed", "Steady", workload.name) is None
    assert [process.poll() for process in started] == [0, 0]


def test_an_engine_runs_in_the_environment_it_needs(workload: Workload, python: Path) -> None:
    with worker("Environment", interpreter=python) as engine:
        assert engine.answer(workload) == 7
    with pytest.raises(WorkerError, match="KeyError"), worker("Environment") as engine:
        engine.answer(workload)


def test_limits_are_timed_among_the_engines_and_not_asked(workload: Workload, python: Path) -> None:
    engine = EngineSpec("engine", "fake_engines:Steady", {}, 1)
    limit = EngineSpec("limit", "fake_engines:Environment", {}, 0, interpreter=python)
    plan = Plan(rounds=2, warmup=0, calls=1)
    result = compare([engine], [workload], plan, reference="engine", least_cosine=1, limits=[limit])
    assert [one.spec.name for one in result.engines] == ["engine"]
    assert list(result.limits) == [("limit", workload.name)]
    assert len(result.limits["limit", workload.name]) == 2


def test_a_comparison_that_fails_leaves_no_process(
    workload: Workload, started: list[subprocess.Popen[bytes]]
) -> None:
    specs = [EngineSpec(name, f"fake_engines:{name}", {}, 1) for name in ("Steady", "DiesTimed")]
    with pytest.raises(WorkerError, match="DiesTimed"):
        compare(specs, [workload], Plan(rounds=1), reference="Steady", least_cosine=0.9)
    assert len(started) == 2
    assert all(process.poll() is not None for process in started)
