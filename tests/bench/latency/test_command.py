"""`distilroberta bench latency` on small artifacts, in earnest."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from distilroberta.bench.harness.interleave import Plan
from distilroberta.bench.harness.workload import Shape
from distilroberta.bench.latency import run as latency_run
from distilroberta.bench.latency.artifact_starts import Setup
from distilroberta.bench.latency.energy import Meter
from distilroberta.bench.latency.run import LatencyRun, Settings, checked_shapes, least_cosines
from distilroberta.bench.models import subject
from distilroberta.runtime import Artifact
from distilroberta.runtime.command_line import run

FEW = ("--rounds", "2", "--calls", "3", "--warmup", "1", "--threads", "1", "--cold-starts", "1")
SHAPES = ("--shapes", "12,2x8")


def measure(artifact: Artifact | None, path: Path, *words: str) -> dict[str, Any]:
    """Run the command, which must succeed, and return its results."""
    named = [] if artifact is None else [str(artifact.path)]
    assert run(["bench", "latency", *named, *FEW, *SHAPES, "--json", str(path), *words]) == 0
    document: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return document


def test_one_run(
    mini_artifact: Artifact, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    document = measure(mini_artifact, tmp_path / "r.json", "--providers", "cpu,cuda")
    assert (document["schema"], document["benchmark"]) == (1, "latency")
    assert document["complete"] is True
    assert (document["threads"], document["level"]) == (1, "pipeline")
    assert document["artifact"] == {
        "name": "mini",
        "digest": hashlib.sha256((mini_artifact.path / "manifest.json").read_bytes()).hexdigest(),
        "task": "fill-mask",
    }
    assert document["weights"] == "mini"
    names = ["fp32 on cpu", "fp16 on cpu", "int8 on cpu"]
    comparison = document["comparison"]
    assert [one["name"] for one in comparison["engines"]] == names
    assert [one["name"] for one in comparison["workloads"]] == ["12 tokens", "2 x 8 tokens"]
    for variant, engine in zip(document["variants"], comparison["engines"], strict=True):
        assert variant["engine"] == engine["name"] == f"{variant['variant']} on cpu"
        assert variant["provider"] == "cpu"
        manifest = mini_artifact.variant(variant["variant"])
        assert variant["file_bytes"] == mini_artifact.bytes_of(variant["variant"])
        assert variant["quality"] == {
            name: getattr(manifest.agreement, name) for name in ("same_top", "kl", "cosine", "rows")
        }
        assert variant["load_seconds"] > 0
        assert variant["cold_start_seconds"]["median"] > 0
        assert variant["peak_bytes"] >= variant["resident_bytes"] > 1e7
        assert list(variant["workloads"]) == ["12 tokens", "2 x 8 tokens"]
        for found in variant["workloads"].values():
            assert (found["calls"], found["p90_ms"], found["p99_ms"]) == (6, None, None)
            assert found["p50_ms"] > 0
            assert found["joules_per_text"] is None
    for name in ("fp32 on cuda", "fp16 on cuda", "int8 on cuda"):
        assert "provider cuda needs CUDAExecutionProvider" in document["left_out"][name]
    pairs = {(one["engine"], one["baseline"], one["workload"]) for one in document["ratios"]}
    assert len(pairs) == 3 * 2
    assert ("int8 on cpu", "fp32 on cpu", "12 tokens") in pairs

    printed = capfd.readouterr()
    lines = printed.out.splitlines()
    assert lines[0] == document["verdict"]
    assert " fp32 " in lines[0]
    assert "12 tokens" in lines[0]
    assert any("left out: fp32 on cuda: could not be loaded" in line for line in lines)
    assert any("too few for an interval of 95 %" in line for line in lines)
    assert printed.err.splitlines() == [f"all that was measured is in {tmp_path / 'r.json'}"]


@pytest.mark.parametrize(
    "fixture", ["classifier_artifact", "tagger_artifact", "answerer_artifact", "embedder_artifact"]
)
def test_every_task(fixture: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    artifact: Artifact = request.getfixturevalue(fixture)
    document = measure(artifact, tmp_path / "r.json", "--variants", "fp32,int8")
    assert document["artifact"]["task"] == artifact.task
    for engine in document["comparison"]["engines"]:
        assert (engine["refused"], engine["failed"]) == (None, {})
        assert list(engine["workloads"]) == ["12 tokens", "2 x 8 tokens"]


def test_the_graph_alone_and_no_cold_start(mini_artifact: Artifact, tmp_path: Path) -> None:
    words = ("--level", "model", "--variants", "int8", "--cold-starts", "0")
    document = measure(mini_artifact, tmp_path / "r.json", *words)
    assert document["level"] == "model"
    (variant,) = document["variants"]
    assert variant["cold_start_seconds"] is None
    # FP32 is not timed, but what is right is still its answer.
    assert document["reference"] == "int8 on cpu"
    (engine,) = document["comparison"]["engines"]
    assert 0.98 < engine["cosine"] < 0.999999
    assert document["verdict"].endswith("nothing else was timed to compare it with")


def test_a_variant_that_answers_something_else(
    mini_artifact: Artifact,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(
        latency_run, "least_cosines", lambda setups: dict.fromkeys(setups, 0.9999999)
    )
    document = measure(mini_artifact, tmp_path / "r.json", "--variants", "fp32,int8")
    _, int8 = document["variants"]
    assert int8["workloads"] == {}
    assert int8["cold_start_seconds"] is None
    assert "the cosine of its logits is" in document["comparison"]["engines"][1]["refused"]
    printed = capfd.readouterr().out
    assert printed.splitlines()[0].endswith("compare it with (int8 was not timed)")
    assert "int8 on cpu was not timed: 12 tokens: the cosine of its logits is" in printed


def test_random_weights(
    mini_artifact: Artifact,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    asked = []

    def alone(task: str, artifact: None, variants: list[str], folder: Path) -> Artifact:
        asked.append((task, artifact, variants))
        return mini_artifact

    monkeypatch.setattr(subject, "alone", alone)
    monkeypatch.chdir(tmp_path)
    words = ("--variants", "int8,fp32", "--cold-starts", "0")
    assert run(["bench", "latency", *FEW, *SHAPES, *words]) == 0
    assert asked == [("fill-mask", None, ["fp32", "int8"])]
    (written,) = (tmp_path / "bench-results").glob("latency-*.json")
    document = json.loads(written.read_text("utf-8"))
    assert document["weights"] == "random weights of DistilRoBERTa's shape"
    assert document["artifact"]["name"] == document["weights"]
    assert "top answers" not in document["verdict"]
    assert "of random weights tell nothing" in document["warnings"][-1]
    assert [one["variant"] for one in document["variants"]] == ["int8", "fp32"]
    assert written.name in capfd.readouterr().err


def test_interrupted(mini_artifact: Artifact, tmp_path: Path) -> None:
    """Ctrl-C once there are results: the tables so far, where the rest is, and code 130."""
    path = tmp_path / "r.json"
    start = "from distilroberta.runtime.entry import main; main()"
    words = ["bench", "latency", str(mini_artifact.path), *FEW, *SHAPES, "--json", str(path)]
    with subprocess.Popen(
        [sys.executable, "-c", start, *words, "--rounds", "100000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            end = time.monotonic() + 120
            while not path.exists() and time.monotonic() < end:
                time.sleep(0.05)
            os.kill(process.pid, signal.SIGINT)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()  # harmless where it has ended
    assert process.returncode == 130
    document = json.loads(path.read_text("utf-8"))
    assert document["complete"] is False
    assert out.startswith("after ")
    assert document["verdict"] in out
    assert "of 100000 rounds: " in document["verdict"]
    assert "p50 ms" in out
    assert f"all that was measured so far is in {path}" in err


def test_no_provider_that_starts(
    mini_artifact: Artifact, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "r.json"
    words = ["bench", "latency", str(mini_artifact.path), *FEW, *SHAPES, "--json", str(path)]
    assert run([*words, "--providers", "cuda"]) == 1
    error = capfd.readouterr().err
    assert "fp32 on cuda: 'load' failed" in error
    assert "provider cuda needs CUDAExecutionProvider" in error
    assert not path.exists()


class Counting(Meter):
    """A counter that goes on by 3 J whenever it is read."""

    def __init__(self) -> None:
        self.shown = 0

    def __str__(self) -> str:
        return "package-0, RAPL"

    def read(self) -> list[int]:
        self.shown += 3_000_000
        return [self.shown]

    def joules(self, before: list[int], after: list[int]) -> float:
        return (after[0] - before[0]) / 1e6


def test_energy(mini_artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency_run, "_ENERGY_SECONDS", 1e-9)  # one call
    settings = Settings(
        variants=("fp32", "int8"),
        providers=("cpu",),
        level="model",
        shapes=(Shape(1, 12), Shape(2, 12)),
        plan=Plan(rounds=1, calls=1),
        threads=1,
        starts=0,
    )
    found = LatencyRun(mini_artifact, settings, meter=Counting).run()
    assert found.meter == "package-0, RAPL"
    for name in ("fp32 on cpu", "int8 on cpu"):
        assert found.joules[name, "12 tokens"] == pytest.approx(3.0)
        assert found.joules[name, "2 x 12 tokens"] == pytest.approx(1.5)
    assert found.left_out == {}


def test_few_labels_are_compared_over_eight_texts(
    classifier_artifact: Artifact, mini_artifact: Artifact
) -> None:
    shapes = [Shape(1, 16), Shape(1, 512), Shape(8, 32), Shape(1, 64)]
    assert checked_shapes(mini_artifact, shapes) == shapes
    assert checked_shapes(classifier_artifact, shapes) == [Shape(8, 16), Shape(8, 64), Shape(8, 32)]


def test_each_variant_has_the_bound_that_its_build_has() -> None:
    setups = {f"{name} on cpu": Setup(name, "cpu") for name in ("fp32", "int8", "int4")}
    bounds = {"fp32 on cpu": 0.99999, "int8 on cpu": 0.98, "int4 on cpu": 0.9}
    assert least_cosines(setups) == bounds


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["--variants", "int9"],
            "--variants must be of fp32, fp16, int8-static, int8, int4, found",
        ),
        (["--variants", "int4"], "variant 'int4' is not in"),
        (["--providers", "cpu,npu"], "--providers must be of cpu, cuda, tensorrt, found 'cpu,npu'"),
        (["--level", "graph"], "--level must be pipeline or model, found 'graph'"),
        (["--shapes", "8x"], "--shapes must be tokens"),
        (["--shapes", "9999"], "a text of 9999 tokens is asked for, the model takes"),
        (["--rounds", "0"], "must be 1 or more"),
        (["--seconds", "0"], "the seconds of a round must be more than 0"),
        (["--cold-starts", "-1"], "--cold-starts must be 0 or more, found -1"),
        (["--threads", "0"], "--threads must be 1 or more, found 0"),
        (["--task", "text-classification"], "was built for fill-mask; text-classification is"),
        (["--json", "nowhere/r.json"], "--json names a file in nowhere, which is no folder"),
    ],
)
def test_words_that_are_wrong(
    mini_artifact: Artifact,
    words: list[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["bench", "latency", str(mini_artifact.path), *words]) == 2
    assert says in " ".join(capfd.readouterr().err.split())


def test_random_weights_of_another_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["bench", "latency", "--task", "question-answering"]) == 2
    error = " ".join(capfd.readouterr().err.split())
    assert "random weights are made for fill-mask or text-classification" in error
    assert "for 'question-answering' give an artifact" in error
