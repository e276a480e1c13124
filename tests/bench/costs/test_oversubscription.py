from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distilroberta.bench.costs import oversubscription, parallel_calls
from distilroberta.bench.costs.oversubscription import (
    Run,
    Setting,
    measure,
    settings,
    summarized,
    times,
)
from distilroberta.bench.errors import BenchError, WorkerError
from distilroberta.bench.harness.interleave import Spread
from distilroberta.runtime import Artifact

# As the fixture gives it: words to the exit code, standard output and standard error.
Bench = Callable[..., tuple[int, str, str]]

LABEL = [{"label": "good", "score": 0.5}]
FIRST = Setting(1, 1, 2, False)


def answered(rate: float, *answers: Any) -> Run:
    return Run(rate, 1.0, 2.0, list(answers) or [LABEL])


def test_the_defaults_of_one_caller_come_first_and_nothing_twice() -> None:
    found = settings([1, 4], 2)
    assert found[0] == FIRST
    assert found == [
        FIRST,
        Setting(1, 1, 2, True),
        Setting(1, 1, 1, False),
        *(
            Setting(4, pipelines, threads, spinning)
            for pipelines in (1, 4)
            for threads, spinning in ((2, False), (2, True), (1, False))
        ),
    ]
    assert settings([4], 2)[0] == FIRST
    assert len(settings([1], 1)) == 2  # as many threads as CPUs, or one: the same


def test_callers_call_at_once_and_calls_count_by_when_they_end() -> None:
    running, most = 0, 0
    lock = threading.Lock()

    def call() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.05)
        with lock:
            running -= 1

    found = parallel_calls.durations([call, call], 0.1, 0.5)
    assert most == 2
    assert len(found) == 2
    for durations in found:
        assert 1 <= len(durations) <= 10  # 0.5 s of calls of 0.05 s
        assert all(duration >= 0.05 for duration in durations)


def test_a_caller_that_fails_is_an_error() -> None:
    def fails() -> None:
        raise ValueError("no such text")

    with pytest.raises(ValueError, match="no such text"):
        parallel_calls.durations([fails], 0, 1)


def test_callers_count_together() -> None:
    found = summarized([[0.001, 0.002], [0.003]], 2.0, [LABEL])
    assert found.texts_per_second == 1.5
    assert found.median_ms == pytest.approx(2.0)
    assert 2.8 < found.slow_ms <= 3
    with pytest.raises(BenchError, match="a call took longer than 2 s: give more with --seconds"):
        summarized([[0.1], []], 2.0, [LABEL])


def test_every_setting_runs_in_every_round_and_the_first_round_is_left_out() -> None:
    other = Setting(2, 1, 2, False)
    asked: list[Setting] = []

    def runs(setting: Setting) -> Run:
        number = len(asked) // 2  # the machine gets slower with every round
        asked.append(setting)
        return answered(100 / (1 + number) * setting.callers)

    found = measure(runs, [FIRST, other], 3)
    assert len(asked) == 8
    assert all(set(asked[first : first + 2]) == {FIRST, other} for first in range(0, 8, 2))
    assert [run.texts_per_second for run in found[FIRST]] == [50, pytest.approx(100 / 3), 25]
    assert times(found) == {FIRST: Spread(1, 1, 1), other: Spread(2, 2, 2)}


def test_a_pipeline_that_answers_differently_is_an_error() -> None:
    wrong = [{"label": "bad", "score": 0.5}]
    with pytest.raises(BenchError, match=r"1 callers, 1 x 2 threads: answered .*'bad'"):
        measure(lambda _: answered(1, LABEL, wrong), [FIRST], 1)
    close = [{"label": "good", "score": 0.5 + 1e-7}]
    assert measure(lambda _: answered(1, LABEL, close), [FIRST], 1)[FIRST]


def test_one_run_of_the_command(
    tmp_path: Path,
    classifier_artifact: Artifact,
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = tmp_path / "measured.json"
    words = ["--artifact", str(classifier_artifact.path), "--callers", "2", "--tokens", "16"]
    words += ["--rounds", "1", "--seconds", "0.1", "--threads", "1", "--json", str(written)]
    monkeypatch.setattr(oversubscription, "_WARMUP_SECONDS", 0.0)
    code, printed, _ = bench("threads", *words)
    assert code == 0
    assert "95 % of calls, ms" in printed
    document = json.loads(written.read_text("utf-8"))
    assert (document["tokens"], document["seconds_of_a_setting"]) == (16, 0.1)
    found = document["settings"]
    assert [(one["callers"], one["pipelines"], one["spinning"]) for one in found] == [
        (1, 1, False),
        *((2, pipelines, spinning) for pipelines in (1, 2) for spinning in (False, True)),
    ]
    for one in found:
        (measured,) = one["rounds"]
        assert 0 < measured["median_ms"] <= measured["slow_ms"]
        assert one["times"]["median"] > 0


def test_a_process_that_fails_is_an_error(mini_artifact: Artifact) -> None:
    runs = oversubscription.runner(mini_artifact, "no mask", 0.1)
    with pytest.raises(WorkerError, match="1 callers, 1 x 2 threads: its process ended"):
        runs(FIRST)


def test_what_is_known_is_kept_after_every_round() -> None:
    kept: list[dict[Setting, list[Run]]] = []

    def runs(setting: Setting) -> Run:
        if len(kept) == 2 and setting == FIRST:
            raise KeyboardInterrupt
        return answered(1)

    with pytest.raises(KeyboardInterrupt):
        measure(runs, [FIRST, Setting(2, 1, 2, False)], 9, keep=kept.append)
    assert [[len(found) for found in one.values()] for one in kept] == [[1, 1], [2, 2]]


def test_words_that_are_wrong(bench: Bench) -> None:
    code, _, said = bench("threads", "--seconds", "0")
    assert code == 2
    assert "--seconds must be more than 0" in said
