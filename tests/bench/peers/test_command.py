"""`distilroberta bench peers` on tiny checkpoints; fakes stand for OpenVINO and CTranslate2."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distilroberta.bench.errors import BenchError
from distilroberta.bench.harness.suite import EngineSpec
from distilroberta.bench.peers import command as peers_command
from distilroberta.bench.peers import lineup as peer_lineup
from distilroberta.bench.peers.conversion import Peers
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
        return Peers(engines, {"openvino": "1.2"}, {"OpenVINO BF16": "none here"})

    monkeypatch.setattr(peer_lineup.peers, "make", make)
    written = tmp_path / "measured.json"
    engines = [name for name in peer_lineup.ENGINES if name != "torch-compile"]
    what = (*CLASSIFICATION, "--checkpoint", str(classifier), "--engines", ",".join(engines))
    which = ("--shapes", "12,2x8", "--peers", str(environment), "--limit")
    said = bench("peers", *what, *which, *PLAN, "--json", str(written))
    assert said.code == 0, said.err

    document = json.loads(written.read_text("utf-8"))
    assert (document["benchmark"], document["complete"]) == ("peers", True)
    assert document["machine"]["packages"]["openvino"] == "1.2"
    assert (document["threads"], document["weights"]) == (1, classifier.name)
    assert document["left_out"] == {"OpenVINO BF16": "none here"}
    levels = {one["level"]: one for one in document["comparisons"]}
    assert list(levels) == ["model", "pipeline"]
    engines_of = {
        level: {one["name"]: one for one in comparison["engines"]}
        for level, comparison in levels.items()
    }
    assert set(document["schemes"]) == {*engines_of["model"], *engines_of["pipeline"], "ours"} - {
        "ours fp32",
        "ours int8",
    }

    model = engines_of["model"]
    reversed_ = model["OpenVINO FP32"]["refused"]
    assert reversed_.startswith("12 tokens: answers with shape (1, 8), must be (1, 3)")
    unloaded = model["OpenVINO INT8"]["refused"]
    assert unloaded == "could not be loaded: 'load' failed: ValueError: the file is not there"
    dying = model["CTranslate2 INT8"]
    assert list(dying["workloads"]) == ["12 tokens"]
    assert "its process ended with code 4" in dying["failed"]["2 x 8 tokens"]
    timed = {name for name in model if "OpenVINO" not in name}
    for name in timed:
        assert len(model[name]["workloads"]["12 tokens"]["rounds_ms"]) == 2
        assert model[name]["cosine"] > peers_command.LEAST_COSINE

    compared = {
        (one["engine"], one["baseline"], one["workload"]) for one in levels["model"]["ratios"]
    }
    others = timed - {"ours fp32", "ours int8"}
    pairs = {("ours int8", other) for other in others}
    pairs |= {("ours fp32", other) for other in ("torch", "optimum FP32")}
    assert compared == {
        (*pair, workload)
        for pair in pairs
        for workload in ("12 tokens", "2 x 8 tokens")
        if (pair[1], workload) != ("CTranslate2 INT8", "2 x 8 tokens")
    }
    for one in levels["model"]["ratios"]:
        times = [
            model[name]["workloads"][one["workload"]]["rounds_ms"]
            for name in (one["baseline"], one["engine"])
        ]
        ratios = sorted(above / below for above, below in zip(*times, strict=True))
        assert ratios[0] <= one["ratio"]["low"] * 1.0001
        assert one["ratio"]["high"] <= ratios[1] * 1.0001
    limits = levels["model"]["machine_limit"]["limits"]
    assert {one["engine"] for one in limits} == {"ours fp32", "ours int8"}
    assert "machine_limit" not in levels["pipeline"]

    printed = " ".join(said.out.split())
    assert document["verdict"] in printed
    assert "from token ids to logits it is" in document["verdict"]
    assert "from texts to answers it is" in document["verdict"]
    assert "text-classification, token ids to logits: median of 2 rounds" in printed
    assert "OpenVINO INT8 was not timed: could not be loaded" in printed
    assert "CTranslate2 INT8 failed at 2 x 8 tokens" in printed
    assert "OpenVINO BF16 was left out: none here" in printed
    assert "times the limit" in printed

    # The report reads the same file.
    found = peers_report.peers_results(Fields(document, "file"))
    assert [one.level for one in found.comparisons] == ["model", "pipeline"]


def test_a_fill_mask_checkpoint_in_pytorch_both_ways(
    tmp_path: Path, make_checkpoint: Callable[..., Path], bench: Callable[..., Any]
) -> None:
    small = make_checkpoint()
    written = tmp_path / "measured.json"
    what = ("--task", "fill-mask", "--checkpoint", str(small), "--engines", "torch,torch-compile")
    which = ("--shapes", "2x8", "--variants", "int8")  # each shape is compiled for seconds
    said = bench("peers", *what, *which, *PLAN, "--json", str(written))
    assert said.code == 0, said.err
    document = json.loads(written.read_text("utf-8"))
    model, pipeline = document["comparisons"]
    assert [one["name"] for one in model["engines"]] == ["ours int8", "torch", "torch.compile"]
    assert [one["name"] for one in pipeline["engines"]] == ["ours int8", "transformers on torch"]
    for comparison in (model, pipeline):
        for engine in comparison["engines"]:
            assert engine["refused"] is None
            assert set(engine["workloads"]) == {"2 x 8 tokens"}
    exact = [one["cosine"] for one in model["engines"] if one["name"] != "ours int8"]
    assert min(exact) > 0.99999


def test_an_interrupt_keeps_the_rounds_that_were_done(
    classifier: Path, tmp_path: Path, bench: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = peers_command.compare

    def interrupted(*arguments: Any, keep: Callable[[Any], None], **more: Any) -> Any:
        def stop_after(found: Any) -> None:
            keep(found)
            raise KeyboardInterrupt

        return original(*arguments, keep=stop_after, **more)

    monkeypatch.setattr(peers_command, "compare", interrupted)
    written = tmp_path / "measured.json"
    what = (*CLASSIFICATION, "--checkpoint", str(classifier), "--engines", "torch")
    said = bench("peers", *what, "--shapes", "12,2x8", *PLAN, "--json", str(written))
    assert said.code == 130
    document = json.loads(written.read_text("utf-8"))
    assert document["complete"] is False
    (comparison,) = document["comparisons"]
    for engine in comparison["engines"]:
        rounds = [one["rounds_ms"] for one in engine["workloads"].values()]
        assert list(map(len, rounds)) == [1, 1]
    assert "stopped before the end" in said.out
    assert "times as fast as torch" in " ".join(said.out.split())


def test_a_reference_that_fails_leaves_its_level_out(
    classifier: Path, tmp_path: Path, bench: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = peers_command.measure

    def broken(task: str, level: str, *arguments: Any, **more: Any) -> Any:
        if level == "model":
            raise BenchError("torch: its process ended")
        return original(task, level, *arguments, **more)

    monkeypatch.setattr(peers_command, "measure", broken)
    written = tmp_path / "measured.json"
    what = (*CLASSIFICATION, "--checkpoint", str(classifier), "--engines", "torch")
    assert bench("peers", *what, "--shapes", "8", *PLAN, "--json", str(written)).code == 0
    document = json.loads(written.read_text("utf-8"))
    assert document["left_out"] == {"text-classification, model": "torch: its process ended"}
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
