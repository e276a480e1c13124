from __future__ import annotations

import pytest

from distilroberta.bench.errors import WorkerError
from distilroberta.bench.latency import artifact_starts
from distilroberta.bench.latency.artifact_starts import Setup
from distilroberta.runtime import Artifact


def test_each_starts_once_in_every_round_and_the_first_does_not_count() -> None:
    asked: list[str] = []

    def start(name: str) -> float:
        asked.append(name)
        return 100.0 if len(asked) <= 2 else {"a": 1.0, "b": 2.0}[name]

    kept: list[int] = []
    found = artifact_starts.measure(
        ["a", "b"], start, 3, keep=lambda seconds: kept.append(len(seconds["a"]))
    )
    assert found.seconds == {"a": [1.0] * 3, "b": [2.0] * 3}
    assert found.failed == {}
    assert all({*asked[place : place + 2]} == {"a", "b"} for place in range(0, 8, 2))
    assert kept == [0, 1, 2, 3]


def test_one_that_fails_is_not_started_again() -> None:
    asked: list[str] = []

    def start(name: str) -> float:
        asked.append(name)
        if name == "a":
            raise WorkerError("a", "its process ended with code 1")
        return 2.0

    found = artifact_starts.measure(["a", "b"], start, 2)
    assert found.seconds == {"b": [2.0, 2.0]}
    assert found.failed == {"a": "its process ended with code 1"}
    assert asked.count("a") == 1


def test_none_is_started_where_none_is_asked_for() -> None:
    assert artifact_starts.measure(["a"], lambda name: 1 / 0, 0).seconds == {"a": []}


@pytest.mark.parametrize("fixture", ["mini_artifact", "answerer_artifact", "embedder_artifact"])
def test_a_real_process(fixture: str, request: pytest.FixtureRequest) -> None:
    artifact: Artifact = request.getfixturevalue(fixture)
    seconds = artifact_starts.start(
        "int8 on cpu", artifact, Setup("int8", "cpu"), "The <mask> of the old town was", 1
    )
    assert 0 < seconds < 120


def test_a_process_that_can_not_answer(mini_artifact: Artifact) -> None:
    with pytest.raises(WorkerError, match="ended with code 1") as caught:
        artifact_starts.start("int8 on cpu", mini_artifact, Setup("int8", "cpu"), "no mask", 1)
    assert "has no <mask>" in caught.value.stderr
