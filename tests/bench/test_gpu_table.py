"""The table of a GPU's latencies, with sessions on the CPU in its place."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from distilroberta.bench import gpu
from distilroberta.bench.errors import BenchError
from distilroberta.bench.gpu import SessionEngine, differences, main, started
from distilroberta.bench.texts import of_artifact
from distilroberta.bench.workload import Shape
from distilroberta.runtime import Artifact

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


def test_table(
    classifier_artifact: Artifact,
    engines: Sequence[SessionEngine],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(gpu, "started", lambda artifact: (engines, REASON))
    monkeypatch.setattr(gpu, "_device", lambda: "NVIDIA T4, compute capability 7.5")
    main(classifier_artifact.path, "24,2x24", 2)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("NVIDIA T4, compute capability 7.5, onnxruntime ")
    assert any("24 tokens" in line and "2 x 24 tokens" in line for line in lines)
    for engine in engines:
        nodes = f"cpu {engine.session.nodes()['cpu']}"
        assert any(engine.name in line and nodes in line for line in lines)
    assert lines[-1] == "left out: cuda fp16: provider cuda did not start: no driver"
