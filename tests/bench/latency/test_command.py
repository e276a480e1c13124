"""`distilroberta bench latency` on small artifacts, in earnest."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from distilroberta.bench.errors import WorkerError
from distilroberta.bench.harness.interleave import Plan
from distilroberta.bench.harness.suite import Comparison
from distilroberta.bench.harness.workload import Shape
from distilroberta.bench.latency import command as latency_command
from distilroberta.bench.latency import results as latency_results
from distilroberta.bench.latency import run as latency_run
from distilroberta.bench.latency.artifact_starts import Setup
from distilroberta.bench.latency.energy import Meter
from distilroberta.bench.latency.results import Measured
from distilroberta.bench.latency.run import LatencyRun, Settings, least_cosines
from distilroberta.bench.models import subject
from distilroberta.bench.report.fields import Fields
from distilroberta.bench.report.latency import latency_results as latency_report
from distilroberta.runtime import Artifact
from distilroberta.runtime.command_line import run
from distilroberta.runtime.execution.gpu import Gpu

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
    document = measure(mini_artifact, tmp_path / "r.json", "--providers", "cuda,cpu")
    assert document["reference"] == "fp32 on cpu"
    assert document["gpu"] is None
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
        assert variant["load_seconds"] == variant["load_spread"]["median"] > 0
        assert variant["cold_start_seconds"]["median"] > variant["load_seconds"]
        assert variant["peak_bytes"] >= variant["resident_bytes"] > 1e7
        assert list(variant["workloads"]) == ["12 tokens", "2 x 8 tokens"]
        for found in variant["workloads"].values():
            assert (found["calls"], found["p90_ms"], found["p99_ms"]) == (6, None, None)
            assert found["p50_ms"] > 0
            assert found["joules_per_text"] is found["joules_spread"] is None
    for name in ("fp32 on cuda", "fp16 on cuda", "int8 on cuda"):
        assert "provider cuda needs CUDAExecutionProvider" in document["left_out"][name]
    pairs = {(one["engine"], one["baseline"], one["workload"]) for one in document["ratios"]}
    assert len(pairs) == 3 * 2
    assert ("int8 on cpu", "fp32 on cpu", "12 tokens") in pairs
    for one in document["ratios"]:
        assert one["verdict"] == "unclear"
        assert one["warning"].startswith("2 rounds are too few")

    printed = capfd.readouterr()
    lines = printed.out.splitlines()
    assert lines[0] == document["verdict"]
    assert " fp32 " in lines[0]
    assert "12 tokens" in lines[0]
    assert any("left out: fp32 on cuda: could not be loaded" in line for line in lines)
    assert any("too few for an interval of 95 %" in line for line in lines)
    assert any(line.startswith("-: p99 takes 100 calls and p90 takes 10") for line in lines)
    assert any(line.startswith("*: too few rounds") for line in lines)
    assert sum(line.startswith("warning: 2 rounds are too few") for line in lines) == 1
    assert printed.err.splitlines() == [f"what was measured is in {tmp_path / 'r.json'}"]


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
    assert variant["cold_start_seconds"] is variant["load_spread"] is None
    assert variant["load_seconds"] > 0
    said = "load seconds are of one start, that of the process that was timed: int8 on cpu"
    assert said in document["warnings"]
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
    # A job that a script starts in the background ignores Ctrl-C, and so do its children.
    start = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    start += "from distilroberta.runtime.entry import main; main()"
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
    assert "after " in out.splitlines()[0]
    assert document["verdict"] in out
    assert "of 100000 rounds: " in document["verdict"]
    assert "p50 ms" in out
    assert out.splitlines()[-1].startswith("stopped before the end")
    assert f"what was measured is in {path}" in err


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


def settings(*providers: str, rounds: int = 1) -> Settings:
    plan = Plan(rounds=rounds, calls=1)
    return Settings(("fp32", "int8"), providers, "model", (Shape(1, 12),), plan, 1, 0)


def test_without_a_cpu_the_first_provider_that_starts_is_the_reference(
    mini_artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Starting:
        def __init__(self, name: str, engine: str, arguments: Mapping[str, Any]) -> None:
            if arguments["provider"] == "tensorrt":
                raise WorkerError(name, "no such library")

        def __enter__(self) -> None:
            pass

        def __exit__(self, *_: object) -> None:
            pass

    references: list[Any] = []

    def compare(*_: Any, reference: str, **__: Any) -> Comparison:
        references.append(reference)
        raise KeyboardInterrupt

    monkeypatch.setattr(latency_run, "Worker", Starting)
    monkeypatch.setattr(latency_run, "compare", compare)
    for providers in (("tensorrt", "cuda"), ("cuda", "cpu"), ("cuda",)):
        with pytest.raises(KeyboardInterrupt):
            LatencyRun(mini_artifact, settings(*providers)).run()
    assert references == ["fp32 on cuda", "fp32 on cpu", "fp32 on cuda"]
    with pytest.raises(WorkerError, match="fp32 on tensorrt: no such library"):
        LatencyRun(mini_artifact, settings("tensorrt", "tensorrt")).run()


def test_what_is_kept_after_each_round_can_be_reported(
    mini_artifact: Artifact,
) -> None:
    kept: list[dict[str, Any]] = []
    run_ = LatencyRun(
        mini_artifact,
        settings("cpu", rounds=2),
        keep=lambda measured: kept.append(latency_results.to_json(measured)),
    )
    run_.run()
    counts = [
        len(one["comparison"]["engines"][0]["workloads"]["12 tokens"]["rounds_ms"]) for one in kept
    ]
    assert counts[:2] == [1, 2]
    for one in kept:
        (ratio,) = one["ratios"]
        assert (ratio["engine"], ratio["baseline"]) == ("int8 on cpu", "fp32 on cpu")
        fields = {"artifact": {"name": "a", "digest": "b", "task": "c"}, "level": "model", **one}
        assert latency_report(Fields(fields, "r.json")).ratios


def test_a_gpu_is_named_where_one_ran(
    mini_artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With engines on the CPU that are taken for some on a GPU."""
    monkeypatch.setattr(latency_run.gpu, "describe", lambda device: Gpu("NVIDIA T4", "7.5"))
    monkeypatch.setattr(latency_run, "_CPU", "none")
    kept: list[Measured] = []
    LatencyRun(mini_artifact, settings("cpu"), keep=kept.append).run()
    assert {one.gpu for one in kept} == {Gpu("NVIDIA T4", "7.5")}
    assert latency_results.to_json(kept[0])["gpu"] == {"name": "NVIDIA T4", "capability": "7.5"}


@pytest.mark.parametrize(
    ("rounds", "calls", "seconds"), [(15, 20, 0.77), (9, 20, 1.32), (100, 20, 0.5), (2, 50, 2.0)]
)
def test_a_p99_of_calls_up_to_a_tenth_of_a_second(rounds: int, calls: int, seconds: float) -> None:
    plan = latency_command._plan(rounds, None, 2, None, 0)
    assert (plan.calls, plan.seconds) == (calls, pytest.approx(seconds))
    if seconds < 2:
        assert rounds * plan.fitted_calls(0.1) >= 100


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
    asked = replace(settings("cpu"), shapes=(Shape(1, 12), Shape(2, 12)))
    found = LatencyRun(mini_artifact, asked, meter=Counting).run()
    assert found.meter == "package-0, RAPL"
    for name in ("fp32 on cpu", "int8 on cpu"):
        assert found.joules[name, "12 tokens"] == pytest.approx([3.0] * 5)
        assert found.joules[name, "2 x 12 tokens"] == pytest.approx([1.5] * 5)
        spread = found.joules_spread(name, "2 x 12 tokens")
        assert spread is not None
        assert (spread.median, spread.low, spread.high) == pytest.approx((1.5, 1.5, 1.5))
    assert found.left_out == {}


def test_each_variant_has_the_bound_that_its_build_has() -> None:
    setups = {f"{name} on cpu": Setup(name, "cpu") for name in ("fp32", "int8", "int4")}
    bounds = {"fp32 on cpu": 0.99999, "int8 on cpu": 0.98, "int4 on cpu": 0.9}
    assert least_cosines(setups) == bounds


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["--variants", "int9"],
            "--variants must be of fp32, fp16, int8-static, int8, int4, with commas between, found",
        ),
        (["--variants", "int4"], "variant 'int4' is not in"),
        (
            ["--providers", "cpu,npu"],
            "must be of cpu, cuda, tensorrt, with commas between, found 'cpu,npu'",
        ),
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
