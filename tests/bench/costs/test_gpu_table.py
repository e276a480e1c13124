"""The table of a GPU's latencies, with sessions on the CPU in its place."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from distilroberta.bench.costs import gpu
from distilroberta.bench.costs.gpu import SessionEngine, differences, started
from distilroberta.bench.errors import BenchError
from distilroberta.bench.harness.workload import Shape
from distilroberta.bench.models.texts import of_artifact
from distilroberta.runtime import Artifact

# As the fixture gives it: words to the exit code, standard output and standard error.
Bench = Callable[..., tuple[int, str, str]]

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
    monkeypatch.setattr(gpu, "_device", lambda: "NVIDIA T4, compute capability 7.5")
    written = tmp_path / "measured.json"
    words = ["--artifact", str(classifier_artifact.path), "--shapes", "24,2x24", "--rounds", "2"]
    code, printed, _ = bench("gpu", *words, "--json", str(written))
    assert code == 0
    lines = printed.splitlines()
    assert lines[0].startswith("NVIDIA T4, compute capability 7.5, onnxruntime ")
    assert any("24 tokens" in line and "2 x 24 tokens" in line for line in lines)
    for engine in engines:
        nodes = f"cpu {engine.session.nodes()['cpu']}"
        assert any(engine.name in line and nodes in line for line in lines)
    assert "left out: cuda fp16: provider cuda did not start: no driver" in lines
    document = json.loads(written.read_text("utf-8"))
    assert document["device"] == "NVIDIA T4, compute capability 7.5"
    assert document["left_out"] == REASON
    assert list(document["engines"]) == ["cpu int8", "cuda fp32"]
    for one in document["engines"].values():
        assert list(one["workloads"]) == ["24 tokens", "2 x 24 tokens"]
        assert all(len(times["rounds_ms"]) == 2 for times in one["workloads"].values())
