from __future__ import annotations

import pytest

from distilroberta.bench.errors import WorkerError
from distilroberta.bench.latency import artifact_starts
from distilroberta.bench.latency.artifact_starts import Setup, Start
from distilroberta.runtime import Artifact

A, B = Start(0.25, 0.5, 0.25), Start(0.5, 1.0, 0.5)


def test_each_starts_once_in_every_round_and_the_first_does_not_count() -> None:
    asked: list[str] = []

    def start(name: str) -> Start:
        asked.append(name)
        return Start(9, 9, 9) if len(asked) <= 2 else {"a": A, "b": B}[name]

    kept: list[int] = []
    found = artifact_starts.measure(
        ["a", "b"], start, 3, keep=lambda starts: kept.append(len(starts["a"]))
    )
    assert found.starts == {"a": [A] * 3, "b": [B] * 3}
    assert found.failed == {}
    assert all({*asked[place : place + 2]} == {"a", "b"} for place in range(0, 8, 2))
    assert kept == [0, 1, 2, 3]


def test_one_that_fails_is_not_started_again() -> None:
    asked: list[str] = []

    def start(name: str) -> Start:
        asked.append(name)
        if name == "a":
            raise WorkerError("a", "its process ended with code 1")
        return B

    found = artifact_starts.measure(["a", "b"], start, 2)
    assert found.starts == {"b": [B, B]}
    assert found.failed == {"a": "its process ended with code 1"}
    assert asked.count("a") == 1


def test_none_is_started_where_none_is_asked_for() -> None:
    def start(name: str) -> Start:
        raise AssertionError(name)

    assert artifact_starts.measure(["a"], start, 0).starts == {"a": []}


@pytest.mark.parametrize("fixture", ["mini_artifact", "answerer_artifact", "embedder_artifact"])
def test_a_real_process(fixture: str, request: pytest.FixtureRequest) -> None:
    artifact: Artifact = request.getfixturevalue(fixture)
    found = artifact_starts.start(
        "int8 on cpu", artifact, Setup("int8", "cpu"), "The <mask> of the old town was", 1
    )
    assert min(found) > 0
    assert found.loaded == pytest.approx(found.imports + found.load)
    assert found.loaded < found.total < 120


def test_a_process_that_can_not_answer(mini_artifact: Artifact) -> None:
    with pytest.raises(WorkerError, match="ended with code 1") as caught:
        artifact_starts.start("int8 on cpu", mini_artifact, Setup("int8", "cpu"), "no mask", 1)
    assert "has no <mask>" in caught.value.stderr
