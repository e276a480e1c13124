from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import onnxruntime
import pytest

from distilroberta.bench.costs import overhead
from distilroberta.bench.costs.call_parts import SessionTime, round_of
from distilroberta.bench.errors import WorkerError
from distilroberta.bench.harness.interleave import Plan, Spread
from distilroberta.bench.harness.workload import Shape
from distilroberta.bench.models.texts import of_artifact
from distilroberta.runtime import Artifact

# As the fixture gives it: words to the exit code, standard output and standard error.
Bench = Callable[..., tuple[int, str, str]]

SESSION, REST = 0.03, 0.01


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch) -> SessionTime:
    """Measures a session that takes 30 ms."""
    monkeypatch.setattr(onnxruntime.InferenceSession, "run", lambda *_: time.sleep(SESSION))
    return SessionTime()


def call() -> None:
    onnxruntime.InferenceSession.run(None)
    time.sleep(REST)


def test_a_call_is_the_session_and_the_rest(inside: SessionTime) -> None:
    found = round_of(call, lambda: time.sleep(REST / 2), inside, warmup=1, calls=3)
    assert set(found) == {"call", "session", "rest", "tokenize"}
    assert found["session"] >= 1000 * SESSION
    assert found["rest"] >= 1000 * REST
    assert found["tokenize"] >= 1000 * REST / 2
    assert found["call"] >= 1000 * (SESSION + REST)
    round_of(call, call, inside, warmup=0, calls=2)  # what was measured before is forgotten


@pytest.mark.parametrize("times", [0, 2])
def test_a_call_that_does_not_run_the_session_once_tells_nothing(
    inside: SessionTime, times: int
) -> None:
    def runs() -> None:
        for _ in range(times):
            onnxruntime.InferenceSession.run(None)

    with pytest.raises(RuntimeError, match=f"2 calls ran a session {2 * times} times"):
        round_of(runs, runs, inside, warmup=1, calls=1)


def test_the_share_is_taken_in_each_round() -> None:
    rounds = [
        {"call": 10.0 * slow, "session": 9.5 * slow, "rest": 0.5 * slow, "tokenize": 0.1}
        for slow in (1, 2, 4)
    ]
    found = overhead.parts(rounds)
    assert found.percent == Spread(5.0, 5.0, 5.0)
    assert found.milliseconds["call"] == Spread(20.0, 15.0, 30.0)


def test_the_bound_is_told_for_each_task() -> None:
    def of(rest: float) -> dict[str, overhead.Parts]:
        one = {"call": 10.0, "session": 10 - rest, "rest": rest, "tokenize": 0.0}
        return {"16 tokens": overhead.parts([one])}

    said = overhead.verdict({"fill-mask": of(0.99), "text-classification": of(1.0)}, "16 tokens")
    assert said == (
        "bound of 10 % beside the session at 16 tokens: fill-mask 9.9 %, within; "
        "text-classification 10.0 %, above"
    )


def test_one_run_of_the_command(
    tmp_path: Path,
    mini_artifact: Artifact,
    classifier_artifact: Artifact,
    bench: Bench,
) -> None:
    written = tmp_path / "measured.json"
    artifacts = [str(mini_artifact.path), str(classifier_artifact.path)]
    plan = ["--lengths", "12,16", "--rounds", "2", "--calls", "2", "--threads", "1"]
    code, printed, _ = bench("overhead", *artifacts, *plan, "--json", str(written))
    assert code == 0
    assert "bound of 10 % beside the session at 16 tokens" in printed
    document = json.loads(written.read_text("utf-8"))
    assert document["weights"] == "mini, classifier"
    tasks = document["tasks"]
    assert list(tasks) == ["fill-mask, mini", "text-classification, classifier"]
    for lengths in tasks.values():
        assert list(lengths) == ["12 tokens", "16 tokens"]
        for one in lengths.values():
            medians = {name: spread["median"] for name, spread in one["milliseconds"].items()}
            assert all(median > 0 for median in medians.values())
            assert max(medians["session"], medians["rest"]) < medians["call"]
            assert 0 < one["percent"]["median"] < 100


def test_a_process_that_fails_is_an_error(
    mini_artifact: Artifact, classifier_artifact: Artifact
) -> None:
    (workload,) = of_artifact(mini_artifact, [Shape(1, 12)])
    broken = type(workload)(workload.name, ("no mask",), workload.ids, workload.masks)
    with pytest.raises(WorkerError, match="fill-mask: its process ended with code 1"):
        overhead.measure(mini_artifact, [broken], Plan(1, 0, 1), 1)


def test_an_artifact_for_another_task(tagger_artifact: Artifact, bench: Bench) -> None:
    code, _, said = bench("overhead", str(tagger_artifact.path))
    assert code == 2
    assert "fill-mask or text-classification is measured here" in said
