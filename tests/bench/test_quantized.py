from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from distilroberta.bench import quantized
from distilroberta.bench.command_line import run
from distilroberta.bench.peers import Peers
from distilroberta.bench.specs import onnx_session
from distilroberta.bench.suite import EngineSpec


def command(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Run the command and return its exit code."""
    monkeypatch.setattr("sys.argv", ["quantized", *words])
    with pytest.raises(SystemExit) as caught:
        run(quantized.main)
    return int(caught.value.code or 0)


@pytest.mark.usefixtures("_fake_engines")
def test_one_run_of_a_classifier(
    tmp_path: Path,
    classifier: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """All but the peers, which an engine stands for that answers something else."""

    def peers(interpreter: Path, task: str, *_: Any) -> Peers:
        assert (interpreter, task) == (python, "text-classification")
        fake = EngineSpec(
            "OpenVINO INT8", "fake_engines:Reversed", {}, 7, interpreter=Path(sys.executable)
        )
        return Peers([fake], {"openvino": "1.2"}, {"OpenVINO BF16": "none here"})

    python = tmp_path / "peers" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()

    def openvino(name: str, model: Path, interpreter: Path, threads: int) -> EngineSpec:
        """onnxruntime in OpenVINO's place, which is not in this environment."""
        assert (model.name, interpreter, threads) == ("model_int8_static.onnx", python, 1)
        return onnx_session(name, model, threads)

    monkeypatch.setattr(quantized.peers, "make", peers)
    monkeypatch.setattr(quantized.peers, "openvino", openvino)
    written = tmp_path / "measured.json"
    plan = ("--rounds", "2", "--calls", "1", "--warmup", "0", "--threads", "1")
    what = ("--task", "text-classification", "--checkpoint", str(classifier))
    which = (
        "--variants",
        "int8-static,int8",
        "--shapes",
        "12,2x8",
        "--peers",
        str(tmp_path / "peers"),
    )
    assert command(monkeypatch, *what, *which, *plan, "--json", str(written)) == 0

    document = json.loads(written.read_text("utf-8"))
    assert document["machine"]["packages"]["openvino"] == "1.2"
    assert document["threads"] == 1
    task = document["tasks"]["text-classification"]
    assert [one["name"] for one in task["workloads"]] == ["12 tokens", "2 x 8 tokens"]
    engines = {one["name"]: one for one in task["engines"]}
    others = [
        "our graph per tensor",
        "optimum FP32",
        "optimum INT8",
        "quantize_dynamic INT8",
        "ours int8-static in OpenVINO",
        "OpenVINO INT8",
    ]
    assert list(engines) == ["ours int8-static", "ours int8", *others]
    assert engines["ours int8-static in OpenVINO"]["cosine"] > quantized.LEAST_COSINE
    refused = engines["OpenVINO INT8"]
    assert refused["refused"].startswith("12 tokens: answers with shape (1, 8), must be (1, 3)")
    ours = engines["ours int8"]["workloads"]
    assert list(ours) == ["12 tokens", "2 x 8 tokens"]
    for measured in ours.values():
        assert len(measured["rounds_ms"]) == 2
        assert set(measured["times_as_fast_as"]) == set(others) - {"OpenVINO INT8"}
    limits = task["machine_limit"]["limits"]
    assert [(one["engine"], one["workload"]) for one in limits] == [
        (engine, name) for engine in ("ours int8-static", "ours int8") for name in ours
    ]
    assert all(one["work"]["int8_operations"] > 0 for one in limits)
    assert task["left_out"] == {"OpenVINO BF16": "none here"}

    printed = capsys.readouterr().out
    assert "text-classification, token ids to logits: median of 2 rounds" in printed
    assert "OpenVINO INT8 was not timed" in printed
    assert "OpenVINO BF16 was left out: none here" in printed
    assert "times the limit" in printed


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--task", "ner"], "--task must be text-classification, fill-mask or both, found 'ner'"),
        (["--checkpoint", "here"], "a checkpoint is for one task: add --task"),
        (["--peers", "nowhere"], "nowhere holds no Python environment"),
        (["--variants", "int9"], "unknown variant 'int9': choose from fp32"),
        (["--shapes", "8x"], "--shapes must be tokens"),
        (["--rounds", "0"], "must be 1 or more"),
        (["--json", "nowhere/measured.json"], "--json names a file in nowhere, which is no folder"),
    ],
)
def test_words_that_are_wrong(
    words: list[str],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command(monkeypatch, *words) == 2
    error = capsys.readouterr().err
    assert says in " ".join(error.split())


def test_the_peers_that_were_not_asked_for_are_named(
    tmp_path: Path, classifier: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantized, "build", lambda *_, **__: "artifact")
    monkeypatch.setattr(quantized.per_tensor, "write", lambda *_: None)
    monkeypatch.setattr(quantized.optimum_export, "export", lambda *_: "exported")
    settings = quantized.Settings([], quantized.Plan(), 1, ["int8"], None)
    made = quantized.make("fill-mask", classifier, tmp_path, settings)
    assert made.peers.engines == []
    assert set(made.peers.skipped) == {"OpenVINO", "CTranslate2"}
