"""The table of a GPU's latencies, with sessions on the CPU in its place."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from distilroberta.bench.costs import gpu
from distilroberta.bench.costs.gpu import (
    Measured,
    SessionEngine,
    differences,
    started,
    to_json,
    verdict,
)
from distilroberta.bench.errors import BenchError
from distilroberta.bench.harness.interleave import Plan
from distilroberta.bench.harness.suite import Comparison, EngineResult, EngineSpec
from distilroberta.bench.harness.workload import Shape, Workload
from distilroberta.bench.models.texts import of_artifact
from distilroberta.bench.report.comparison import comparison
from distilroberta.bench.report.fields import Fields
from distilroberta.runtime import Artifact
from distilroberta.runtime.execution.gpu import Gpu

# As the fixture gives it: words to the exit code, standard output and standard error.
Bench = Callable[..., tuple[int, str, str]]

T4 = Gpu("NVIDIA T4", "7.5")
REASON = {"cuda fp16": "provider cuda did not start: no driver"}


@pytest.fixture
def engines(classifier_artifact: Artifact) -> Sequence[SessionEngine]:
    """Two variants on the CPU, one of them called CUDA."""
    sessions = {"cpu int8": "int8", "cuda fp32": "fp32"}
    return [
        SessionEngine(name, classifier_artifact.session(variant, provider="cpu", threads=1))
        for name, variant in sessions.items()
    ]


def test_nothing_starts_without_a_gpu(
    classifier_artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = ["CPUExecutionProvider"]
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: built)
    with pytest.raises(BenchError, match=r"nothing starts on a GPU: provider cuda needs CUDA"):
        started(classifier_artifact)


def test_differences_are_from_fp32_on_the_gpu(
    classifier_artifact: Artifact, engines: Sequence[SessionEngine]
) -> None:
    (workload,) = of_artifact(classifier_artifact, [Shape(2, 24)])
    found = differences(engines, workload)
    assert found["cuda fp32"] == 0
    assert found["cpu int8"] > 0


def test_one_run_of_the_command(
    tmp_path: Path,
    classifier_artifact: Artifact,
    engines: Sequence[SessionEngine],
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gpu, "started", lambda artifact: (engines, REASON))
    monkeypatch.setattr(gpu.gpu, "describe", lambda device: T4)
    written = tmp_path / "measured.json"
    words = ["--artifact", str(classifier_artifact.path), "--shapes", "24,2x24", "--rounds", "2"]
    code, printed, _ = bench("gpu", *words, "--json", str(written))
    assert code == 0
    lines = printed.splitlines()
    assert lines[0].startswith("unclear at ")
    assert lines[1].startswith("NVIDIA T4, compute capability 7.5, onnxruntime ")
    assert any("24 tokens" in line and "2 x 24 tokens" in line for line in lines)
    for engine in engines:
        nodes = f"cpu {engine.session.nodes()['cpu']}"
        assert any(engine.name in line and nodes in line for line in lines)
    assert "left out: cuda fp16: provider cuda did not start: no driver" in lines
    document = json.loads(written.read_text("utf-8"))
    assert document["device"] == "NVIDIA T4, compute capability 7.5"
    assert document["left_out"] == REASON
    assert document["gpu"] == {"name": "NVIDIA T4", "capability": "7.5"}
    assert document["verdict"] == lines[0]
    assert {(one["engine"], one["baseline"]) for one in document["ratios"]} == {
        ("cuda fp32", "cpu int8")
    }
    # As a report reads it.
    read = comparison(Fields(document["comparison"], str(written)))
    assert list(read.workloads) == ["24 tokens", "2 x 24 tokens"]
    assert [one.name for one in read.engines] == ["cpu int8", "cuda fp32", "cuda fp16"]
    for one in read.engines[:2]:
        assert list(one.times) == ["24 tokens", "2 x 24 tokens"]
        assert all(len(times.rounds) == 2 for times in one.times.values())
        assert one.name in document["largest_differences"]
    assert (read.engines[2].refused, read.engines[2].times) == (REASON["cuda fp16"], {})


def workload(rows: int, tokens: int) -> Workload:
    return Workload(str(Shape(rows, tokens)), ("a",) * rows, ((0,) * tokens,) * rows, (1,) * rows)


def found(rounds: Mapping[str, Sequence[float]]) -> Measured:
    """Sessions with the same milliseconds for one text and for a batch."""
    workloads = (workload(1, 16), workload(1, 128), workload(32, 128))
    engines = tuple(
        EngineResult(
            EngineSpec(name, "", {}, 1),
            None,
            None,
            None,
            None,
            {one.name: times for one in workloads},
        )
        for name, times in rounds.items()
    )
    timed = Comparison(workloads, Plan(rounds=6), engines)
    return Measured(T4, timed, dict.fromkeys(rounds, 0.0), {name: {} for name in rounds})


SLOW = [40.0, 41.0, 39.0, 40.5, 39.5, 40.2]


def test_the_verdict_is_of_the_fastest_on_the_gpu() -> None:
    half, quarter = [time / 2 for time in SLOW], [time / 4 for time in SLOW]
    measured = found({"cpu int8": SLOW, "cuda fp32": half, "cuda fp16": quarter})
    said = "cuda fp16 (the fastest of 2 on the GPU) answers 4.00 times (4.00-4.00) as fast as cpu"
    assert verdict(measured) == f"{said} int8 at 128 tokens; {said} int8 at 32 x 128 tokens"
    assert len(to_json(measured)["ratios"]) == 2 * 3


@pytest.mark.parametrize(
    ("rounds", "says"),
    [
        ({"cuda fp32": SLOW}, "cuda fp32 is not told apart from cpu int8 in speed at 128 tokens"),
        (
            {"cuda fp32": [time * 2 for time in SLOW]},
            "no GPU session is faster than cpu int8 at 128 tokens: cuda fp32 comes next, 0.50",
        ),
        ({}, "cpu int8 was not timed beside a GPU at 128 tokens: no verdict"),
    ],
)
def test_a_verdict_claims_no_more_than_there_is(
    rounds: dict[str, Sequence[float]], says: str
) -> None:
    assert verdict(found({"cpu int8": SLOW, **rounds})).startswith(says)


def test_one_round_is_too_few_for_a_verdict() -> None:
    measured = found({"cpu int8": SLOW[:1], "cuda fp32": [1.0]})
    assert verdict(measured).startswith("unclear at 128 tokens: 1 round is too few to tell cuda")
