"""`distilroberta bench peers` on tiny checkpoints; fakes stand for OpenVINO and CTranslate2."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distilroberta.bench.errors import WorkerError
from distilroberta.bench.harness.interleave import Plan
from distilroberta.bench.harness.suite import Comparison, EngineResult, EngineSpec
from distilroberta.bench.harness.workload import Workload
from distilroberta.bench.peers import lineup as peer_lineup
from distilroberta.bench.peers import ratios as peer_ratios
from distilroberta.bench.peers import run as peers_run
from distilroberta.bench.peers.conversion import Peers
from distilroberta.bench.peers.results import Measured
from distilroberta.bench.report import peers as peers_report
from distilroberta.bench.report.fields import Fields

PLAN = ("--rounds", "2", "--calls", "1", "--warmup", "0", "--threads", "1")
CLASSIFICATION = ("--task", "text-classification")


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A folder that looks like the environment of OpenVINO and CTranslate2."""
    python = tmp_path / "peers" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    return tmp_path / "peers"


@pytest.mark.usefixtures("_fake_engines")
def test_one_run_of_a_classifier(
    tmp_path: Path,
    environment: Path,
    classifier: Path,
    monkeypatch: pytest.MonkeyPatch,
    bench: Callable[..., Any],
) -> None:
    """Of the peers one answers wrongly, one can't be loaded, and one dies on a workload."""

    def make(interpreter: Path, task: str, checkpoint: Path, *_: Any) -> Peers:
        assert (interpreter, task) == (environment / "bin" / "python", "text-classification")
        python = Path(sys.executable)
        on_torch = {"checkpoint": str(checkpoint), "task": task, "threads": 1}
        arguments = {**on_torch, "workload": "2 x 8 tokens"}
        engines = [
            EngineSpec("OpenVINO FP32", "fake_engines:Reversed", {}, 7, interpreter=python),
            EngineSpec("OpenVINO INT8", "fake_engines:NoLoad", {}, 7, interpreter=python),
            EngineSpec("CTranslate2 INT8", "fake_peers:DiesAt", arguments, 7, interpreter=python),
        ]
        return Peers(engines, {"openvino": "1.2", "numpy": "0.1"}, {"OpenVINO BF16": "none here"})

    monkeypatch.setattr(peer_lineup.conversion, "make", make)
    written = tmp_path / "measured.json"
    others = "optimum-fp32,openvino-fp32,openvino-bf16,openvino-int8,ctranslate2-int8"
    what = (*CLASSIFICATION, "--checkpoint", str(classifier), "--engines", others)
    which = ("--levels", "model", "--shapes", "12,2x8", "--peers", str(environment), "--limit")
    said = bench("peers", *what, *which, *PLAN, "--json", str(written))
    assert said.code == 0, said.err

    document = json.loads(written.read_text("utf-8"))
    assert (document["benchmark"], document["complete"]) == ("peers", True)
    assert document["peers_packages"] == {"openvino": "1.2", "numpy": "0.1"}
    assert (document["threads"], document["weights"]) == (1, classifier.name)
    assert document["left_out"] == {"OpenVINO BF16": "none here"}
    (level,) = document["comparisons"]
    assert (level["task"], level["level"]) == ("text-classification", "model")
    # It has three labels, of which one text tells too little.
    assert level["checked"] == ["8 x 16 tokens"]
    model = {one["name"]: one for one in level["engines"]}
    assert set(document["schemes"]) == {*model, "ours"} - {"ours fp32", "ours int8"}
    assert model["ours int8"]["settings"] == {"variant": "int8", "threads": 1}
    assert model["optimum FP32"]["settings"] == {"threads": 1}

    reversed_ = model["OpenVINO FP32"]["refused"]
    assert reversed_.startswith("8 x 16 tokens: answers with shape (1, 8), must be (8, 3)")
    unloaded = model["OpenVINO INT8"]["refused"]
    assert unloaded == "could not be loaded: 'load' failed: ValueError: the file is not there"
    dying = model["CTranslate2 INT8"]
    assert list(dying["workloads"]) == ["12 tokens"]
    assert "its process ended with code 4" in dying["failed"]["2 x 8 tokens"]
    timed = {name for name in model if "OpenVINO" not in name}
    for name in timed:
        assert len(model[name]["workloads"]["12 tokens"]["rounds_ms"]) == 2
        assert model[name]["cosine"] > peers_run.LEAST_COSINE

    compared = {(one["engine"], one["baseline"], one["workload"]) for one in level["ratios"]}
    assert compared == {
        ("ours fp32", "optimum FP32", "12 tokens"),
        ("ours fp32", "optimum FP32", "2 x 8 tokens"),
        ("ours int8", "optimum FP32", "12 tokens"),
        ("ours int8", "optimum FP32", "2 x 8 tokens"),
        ("ours int8", "CTranslate2 INT8", "12 tokens"),
    }
    for one in level["ratios"]:
        times = [
            model[name]["workloads"][one["workload"]]["rounds_ms"]
            for name in (one["baseline"], one["engine"])
        ]
        ratios = sorted(above / below for above, below in zip(*times, strict=True))
        assert ratios[0] <= one["ratio"]["low"] * 1.0001
        assert one["ratio"]["high"] <= ratios[1] * 1.0001
    limits = level["machine_limit"]["limits"]
    assert {one["engine"] for one in limits} == {"ours fp32", "ours int8"}

    printed = " ".join(said.out.split())
    assert document["verdict"] in printed
    assert "from token ids to logits, for text-classification unclear" in document["verdict"]
    assert "text-classification, token ids to logits: median of 2 rounds" in printed
    assert "OpenVINO INT8 was not timed: could not be loaded" in printed
    assert "CTranslate2 INT8 failed at 2 x 8 tokens" in printed
    assert "OpenVINO BF16 was left out: none here" in printed
    assert "times the limit" in printed


def test_whole_pipelines_and_the_report_of_them(
    classifier: Path, tmp_path: Path, bench: Callable[..., Any]
) -> None:
    written = tmp_path / "measured.json"
    what = (*CLASSIFICATION, "--checkpoint", str(classifier), "--engines", "torch")
    which = ("--levels", "pipeline", "--variants", "int8", "--shapes", "12")
    said = bench("peers", *what, *which, *PLAN, "--json", str(written))
    assert said.code == 0, said.err
    document = json.loads(written.read_text("utf-8"))
    (pipeline,) = document["comparisons"]
    assert [one["name"] for one in pipeline["engines"]] == ["ours int8", "transformers on torch"]
    assert all(one["refused"] is None for one in pipeline["engines"])
    assert "from texts to answers" in document["verdict"]
    assert "transformers on torch (FP32)" in document["verdict"]
    found = peers_report.peers_results(Fields(document, "file"))
    assert [one.level for one in found.comparisons] == ["pipeline"]


def test_a_compiled_fill_mask_checkpoint(
    tmp_path: Path, make_checkpoint: Callable[..., Path], bench: Callable[..., Any]
) -> None:
    small = make_checkpoint(num_hidden_layers=1)
    written = tmp_path / "measured.json"
    what = ("--task", "fill-mask", "--checkpoint", str(small), "--engines", "torch-compile")
    # Each shape is compiled for seconds.
    which = ("--shapes", "2x8", "--variants", "int8", "--levels", "model")
    said = bench("peers", *what, *which, *PLAN, "--json", str(written))
    assert said.code == 0, said.err
    (model,) = json.loads(written.read_text("utf-8"))["comparisons"]
    assert [one["name"] for one in model["engines"]] == ["ours int8", "torch.compile"]
    assert model["checked"] == ["2 x 8 tokens"]
    for engine in model["engines"]:
        assert engine["refused"] is None
        assert set(engine["workloads"]) == {"2 x 8 tokens"}
    compiled = model["engines"][1]
    assert compiled["cosine"] > 0.99999
    assert compiled["settings"] == {"task": "fill-mask", "threads": 1, "compiled": True}


def test_an_interrupt_after_one_round_shows_no_difference(
    classifier: Path,
    workload: Workload,
    tmp_path: Path,
    bench: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def measure(
        task: str, level: str, *_: Any, keep: Callable[[Measured], None], **__: Any
    ) -> Measured:
        engines = tuple(
            EngineResult(EngineSpec(name, "a:b", {}, 1), None, None, 1.0, None, {workload.name: ms})
            for name, ms in {"ours int8": [1.0], "torch": [2.0]}.items()
        )
        comparison = Comparison((workload,), Plan(rounds=9), engines)
        found = peer_ratios.ratios(comparison, [("ours int8", "torch")])
        keep(Measured(task, level, comparison, (workload.name,), found, None))
        raise KeyboardInterrupt

    monkeypatch.setattr(peers_run, "measure_level", measure)
    written = tmp_path / "measured.json"
    what = (*CLASSIFICATION, "--checkpoint", str(classifier), "--engines", "torch")
    which = ("--variants", "int8", "--shapes", "12", "--rounds", "9")
    said = bench("peers", *what, *which, "--json", str(written))
    assert said.code == 130
    document = json.loads(written.read_text("utf-8"))
    assert document["complete"] is False
    (comparison,) = document["comparisons"]
    for engine in comparison["engines"]:
        rounds = [one["rounds_ms"] for one in engine["workloads"].values()]
        assert list(map(len, rounds)) == [1]
    printed = " ".join(said.out.split())
    assert "stopped before the end" in printed
    assert "median of 1 round (" in printed
    # One round shows nothing, whatever was planned.
    (ratio,) = comparison["ratios"]
    assert (ratio["ratio"]["estimate"], ratio["verdict"]) == (pytest.approx(2), "unclear")
    few = f"text-classification, model: {ratio['warning']}"
    assert "too few" in few
    assert document["warnings"] == [few]
    assert f"warning: {few}" in printed
    assert "times as fast as" not in document["verdict"]


@pytest.fixture
def _no_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the level `model` PyTorch fails, and nothing is timed of `pipeline`."""

    def measure(task: str, level: str, *_: Any, **__: Any) -> Measured:
        if level == "model":
            raise WorkerError("torch", "its process ended")
        spec = EngineSpec("ours int8", "module:class", {}, 1)
        refused = EngineResult(spec, None, None, None, "it is wrong", {})
        comparison = Comparison((), Plan(), (refused,))
        return Measured(task, level, comparison, ("8 tokens",), [], None)

    monkeypatch.setattr(peers_run, "measure_level", measure)


@pytest.mark.usefixtures("_no_engines")
def test_nothing_measured_is_an_error_that_says_why(
    classifier: Path, tmp_path: Path, bench: Callable[..., Any]
) -> None:
    written = tmp_path / "measured.json"
    what = (*CLASSIFICATION, "--checkpoint", str(classifier), "--engines", "torch")
    said = bench("peers", *what, "--shapes", "8", *PLAN, "--json", str(written))
    assert said.code == 1
    why = "text-classification, model: torch: its process ended; ours int8: it is wrong"
    assert f"nothing was measured: {why}" in said.err
    document = json.loads(written.read_text("utf-8"))
    assert document["complete"] is False
    assert document["left_out"] == {"text-classification, model": "torch: its process ended"}
    # The level after the one that failed is there.
    assert [one["level"] for one in document["comparisons"]] == ["pipeline"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--task", "ner"], "--task must be text-classification, fill-mask or both, found 'ner'"),
        (["--checkpoint", "here"], "a checkpoint is for one task: add --task"),
        (["--peers", "nowhere"], "nowhere holds no Python environment"),
        (["--engines", "openvino"], "--engines must be of torch, torch-compile"),
        (["--engines", "openvino-int8"], "openvino-int8 needs an environment: make one with"),
        (["--levels", "graph"], "--levels must be of model, pipeline"),
        (["--variants", "int9"], "unknown variant 'int9': choose from fp32"),
        (["--shapes", "8x"], "--shapes must be tokens"),
        (["--rounds", "0"], "must be 1 or more"),
        (["--json", "nowhere/measured.json"], "--json names a file in nowhere, which is no folder"),
    ],
)
def test_words_that_are_wrong(
    words: list[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    bench: Callable[..., Any],
) -> None:
    monkeypatch.chdir(tmp_path)
    said = bench("peers", *words)
    assert (said.code, said.out) == (2, "")
    assert says in said.err
    assert list(tmp_path.iterdir()) == []


def test_more_tokens_than_the_model_takes(
    classifier: Path, tmp_path: Path, bench: Callable[..., Any]
) -> None:
    written = tmp_path / "measured.json"
    what = (*CLASSIFICATION, "--checkpoint", str(classifier), "--json", str(written))
    said = bench("peers", *what, "--engines", "torch", "--shapes", "16,2x65")
    assert said.code == 2
    assert "--shapes asks for 2 x 65 tokens, the model takes 64 tokens" in said.err
    assert not written.exists()


def test_the_usual_environment_is_used_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bench: Callable[..., Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".venv-peers").mkdir()
    said = bench("peers")
    assert said.code == 2
    assert "OpenVINO and CTranslate2 run in .venv-peers; --peers names another" in said.err
    assert ".venv-peers holds no Python environment" in said.err
