"""Providers that can't do what is asked of them, case by case: an error that says why.

The numbers are those of the project's list of faults, of which 38 to 42 are about providers.
"""

from __future__ import annotations

import json
import logging
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from distilroberta.runtime import Artifact, OutOfMemoryError, ProviderError, pipeline
from distilroberta.runtime.command_line import run
from distilroberta.runtime.execution import gpu
from distilroberta.runtime.execution.gpu import Gpu
from distilroberta.runtime.execution.provider_options import (
    CPU,
    CUDA,
    TENSORRT,
    CudaOptions,
    TensorRTOptions,
)

Capture = pytest.CaptureFixture[str]

REAL_SESSION = onnxruntime.InferenceSession
TEXT = "Paris is the <mask> of France."
# Without a cache, TensorRT's library is not asked for its version before the session is opened.
ON_GPU = [CudaOptions, lambda **fields: TensorRTOptions(cache=False, **fields)]


@pytest.mark.parametrize("name", ["gpu", "", "CPU", "CUDAExecutionProvider", None], ids=repr)
def test_case_38_unknown_provider(mini_artifact: Artifact, name: Any) -> None:
    with pytest.raises(
        ProviderError, match=r"unknown provider .*: choose one of auto, cpu, cuda, tensorrt"
    ):
        pipeline(None, mini_artifact, provider=name)


@pytest.mark.parametrize("words", [["info", "{artifact}"], ["predict", "{artifact}", TEXT]])
def test_case_38_at_the_command_line(
    mini_artifact: Artifact, capfd: Capture, words: list[str]
) -> None:
    filled = [word.replace("{artifact}", str(mini_artifact.path)) for word in words]
    assert run([*filled, "--provider", "nonsense"]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert "unknown provider 'nonsense': choose one of auto, cpu, cuda, tensorrt" in err


@pytest.mark.parametrize(("name", "needed"), [("cuda", CUDA), ("tensorrt", TENSORRT)])
def test_case_39_build_without_it(
    mini_artifact: Artifact, built_with: Callable[..., None], name: str, needed: str
) -> None:
    built_with(CPU)
    with pytest.raises(ProviderError) as caught:
        pipeline(None, mini_artifact, provider=name)
    message = str(caught.value)
    assert f"provider {name} needs {needed}" in message
    assert f"it has {CPU}" in message
    assert "install onnxruntime-gpu in place of onnxruntime" in message


@pytest.mark.parametrize("options", ON_GPU, ids=["cuda", "tensorrt"])
@pytest.mark.usefixtures("gpu_libraries")
def test_case_39_library_that_does_not_load(
    gpus: Any, mini_artifact: Artifact, options: Callable[..., Any]
) -> None:
    """What is missing is told as the system's loader says it."""
    gpus.failures = [RuntimeError("no such provider")]
    asked = options()
    expected = (
        rf"^provider {asked.name} did not start: no such provider; a library it needs is missing: "
        rf".*libonnxruntime_providers_{asked.name}\.so.*; install it, or choose provider cpu$"
    )
    with pytest.raises(ProviderError, match=expected):
        mini_artifact.session("fp32", provider=asked)


@pytest.mark.parametrize("options", ON_GPU, ids=["cuda", "tensorrt"])
def test_case_39_library_that_is_not_there(
    gpus: Any, mini_artifact: Artifact, monkeypatch: pytest.MonkeyPatch, options: Any
) -> None:
    monkeypatch.setattr(onnxruntime, "__file__", "/nowhere/__init__.py")
    gpus.failures = [RuntimeError("no such provider")]
    with pytest.raises(ProviderError, match=r"onnxruntime_providers_\w+ is not in /nowhere/capi"):
        mini_artifact.session("fp32", provider=options())


@pytest.mark.parametrize(
    ("count", "device", "said"),
    [
        (0, 0, "device 0 is not there: the driver shows 0 GPUs"),
        (2, 99, "device 99 is not there: the driver shows 2 GPUs"),
        (2, 1, "check that the driver and the CUDA libraries fit NVIDIA H200"),
    ],
    ids=["no device", "device 99", "device 1"],
)
@pytest.mark.parametrize("options", ON_GPU, ids=["cuda", "tensorrt"])
@pytest.mark.usefixtures("gpu_libraries")
def test_case_39_device(
    gpus: Any,
    driver: Any,
    mini_artifact: Artifact,
    options: Callable[..., Any],
    count: int,
    device: int,
    said: str,
) -> None:
    driver.count = count
    gpus.failures = [RuntimeError("CUDA failure 101: invalid device ordinal")]
    with pytest.raises(ProviderError, match=rf"did not start: CUDA failure 101.*; {said}"):
        mini_artifact.session("fp32", provider=options(device_id=device))


def test_case_39_device_of_engines(gpus: Any, driver: Any, mini_artifact: Artifact) -> None:
    """Which GPU engines are for is found out before a session is opened."""
    with pytest.raises(ProviderError, match=r"provider tensorrt did not start: device 99 is not"):
        mini_artifact.session("fp32", provider=TensorRTOptions(device_id=99))
    assert gpus.asked == []


@pytest.fixture
def fails_on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let onnxruntime itself fail where its CUDA libraries would be loaded."""
    create = REAL_SESSION._create_inference_session

    def named(listed: Any) -> Any:
        return listed if isinstance(listed, str) else listed[0]

    def fail(self: Any, providers: Any, *rest: Any) -> None:
        if CUDA in map(named, providers):
            raise RuntimeError("libcudart.so.13: cannot open shared object file")
        create(self, providers, *rest)

    monkeypatch.setattr(REAL_SESSION, "_create_inference_session", fail)


@pytest.mark.usefixtures("fails_on_cuda")
def test_case_39_failure_is_told_and_not_printed(
    mini_artifact: Artifact, built_with: Callable[..., None], capfd: Capture
) -> None:
    built_with(CUDA, CPU)
    with pytest.raises(ProviderError, match=r"cuda did not start: libcudart.so.13"):
        pipeline(None, mini_artifact, provider="cuda")
    assert capfd.readouterr().out == ""


@pytest.mark.usefixtures("fails_on_cuda")
def test_case_39_who_may_fall_back_asks_for_auto_and_sees_it(
    mini_artifact: Artifact, built_with: Callable[..., None], capfd: Capture
) -> None:
    built_with(CUDA, CPU)
    pipe = pipeline(None, mini_artifact)
    assert (pipe.provider, pipe.variant) == ("cpu", "int8")
    assert capfd.readouterr().out == ""
    assert run(["info", str(mini_artifact.path), "--provider", "auto", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["provider"] == "cpu"


def test_case_40_work_left_on_the_cpu(gpus: Any, mini_artifact: Artifact, capfd: Capture) -> None:
    gpus.placed = {CUDA: ["MatMul"], CPU: ["Shape", "DynamicQuantizeLinear"]}
    message = r"on the CPU: DynamicQuantizeLinear (1); choose variant fp16 or fp32, or allow it"
    with pytest.raises(ProviderError) as caught:
        mini_artifact.session("int8", provider="cuda")
    assert message in str(caught.value)
    session = mini_artifact.session("int8", provider=CudaOptions(cpu_nodes="any"))
    assert session.nodes() == {"cuda": 1, "cpu": 2}
    assert run(["info", str(mini_artifact.path), "--provider", "cuda"]) == 2
    assert "DynamicQuantizeLinear (1)" in " ".join(capfd.readouterr().err.split())


def test_case_40_info_counts_the_nodes_of_each_provider(
    gpus: Any, mini_artifact: Artifact, capfd: Capture
) -> None:
    gpus.placed = {CUDA: ["MatMul"] * 5, CPU: ["Shape", "Gather"]}
    command = ["info", str(mini_artifact.path), "--provider", "cuda"]
    assert run(command) == 0
    assert "5 on cuda, 2 on cpu" in capfd.readouterr().out
    assert run([*command, "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["nodes"] == {"cuda": 5, "cpu": 2}


class Engines:
    """A machine on which TensorRT builds engines: its GPU, its releases, its folder for caches."""

    def __init__(self, folder: Path) -> None:
        self.options = TensorRTOptions(cache_folder=folder)
        self.gpu, self.tensorrt = Gpu("NVIDIA T4", "7.5"), "101401"

    def open(self, artifact: Artifact, variant: str = "fp32") -> None:
        assert artifact.session(variant, provider=self.options).provider == "tensorrt"


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Engines:
    made = Engines(tmp_path / "cache")
    monkeypatch.setattr(gpu, "describe", lambda device_id: made.gpu)
    monkeypatch.setattr(gpu, "tensorrt_version", lambda: made.tensorrt)
    return made


def test_case_41_engines_are_used_again(
    gpus: Any, engines: Engines, mini_artifact: Artifact
) -> None:
    for _ in range(3):
        engines.open(mini_artifact)
    assert len(gpus.built) == 1


@pytest.mark.parametrize(
    ("field", "other"),
    [("gpu", Gpu("NVIDIA L4", "8.9")), ("gpu", Gpu("NVIDIA T4", "8.0")), ("tensorrt", "101500")],
    ids=repr,
)
def test_case_41_engines_of_another_machine_are_not_used(
    gpus: Any, engines: Engines, mini_artifact: Artifact, field: str, other: Any
) -> None:
    before = getattr(engines, field)
    for value in (before, other, before):
        setattr(engines, field, value)
        engines.open(mini_artifact)
    assert len(set(gpus.built)) == len(gpus.built) == 2


def test_case_41_engines_of_another_onnxruntime_or_graph_are_not_used(
    gpus: Any, engines: Engines, mini_artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines.open(mini_artifact)
    engines.open(mini_artifact, "fp16")
    monkeypatch.setattr(onnxruntime, "__version__", "1.99.0")
    engines.open(mini_artifact)
    assert len(set(gpus.built)) == len(gpus.built) == 3


@pytest.mark.parametrize("content", [b"", b"engina", b"engine and more"])
def test_case_41_corrupt_engine_is_built_again(
    gpus: Any,
    engines: Engines,
    mini_artifact: Artifact,
    caplog: pytest.LogCaptureFixture,
    content: bytes,
) -> None:
    engines.open(mini_artifact)
    (engine,) = gpus.built
    engine.write_bytes(content)
    with caplog.at_level(logging.WARNING, "distilroberta"):
        engines.open(mini_artifact)
    assert gpus.built == [engine, engine]
    assert engine.read_bytes() == b"engine"
    assert f"{engine} is not as it was written: it is built again" in caplog.text


def test_case_41_engine_that_does_not_load_is_built_again(
    gpus: Any, engines: Engines, mini_artifact: Artifact, caplog: pytest.LogCaptureFixture
) -> None:
    engines.open(mini_artifact)
    gpus.failures = [RuntimeError("could not deserialize engine")]
    with caplog.at_level(logging.WARNING, "distilroberta"):
        engines.open(mini_artifact)
    assert len(gpus.built) == 2
    assert "building anew" in caplog.text


def test_case_41_engines_are_not_shared_between_users(
    gpus: Any, engines: Engines, mini_artifact: Artifact
) -> None:
    engines.open(mini_artifact)
    folder = gpus.built[0].parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o777)
    with pytest.raises(ProviderError, match="belongs to another user or is open to others"):
        engines.open(mini_artifact)


@pytest.fixture
def classify(classifier_artifact: Artifact) -> Any:
    """A pipeline of the test's own, whose session it may change."""
    return pipeline(None, classifier_artifact, variant="fp32", provider="cpu", top_k=None)


def rows_that_fit(pipe: Any, most: int) -> list[int]:
    """Let batches of more rows run out of a GPU's memory; return the sizes of those to come."""
    call, sizes = pipe.session._call, []

    def limited(feeds: Any) -> Any:
        sizes.append(len(feeds["input_ids"]))
        if sizes[-1] > most:
            raise RuntimeError("[ONNXRuntimeError] : 6 : CUDA failure 2: out of memory ; GPU=0")
        return call(feeds)

    pipe.session._call = limited
    return sizes


def scores(answers: Any) -> list[float]:
    return [row["score"] for answer in answers for row in answer]


def test_case_42_batch_is_halved(classify: Any) -> None:
    texts = [f"The dog barked {count} times." for count in range(8)]
    expected = classify(texts, batch_size=8)
    sizes = rows_that_fit(classify, 4)
    found = classify(texts, batch_size=8)
    assert sizes == [8, 4, 4]
    assert [[row["label"] for row in answer] for answer in found] == [
        [row["label"] for row in answer] for answer in expected
    ]
    assert scores(found) == pytest.approx(scores(expected), rel=0, abs=1e-6)


def test_case_42_once_and_the_session_is_alive(classify: Any) -> None:
    texts = ["The dog barked."] * 8
    expected = classify(texts[:2])
    sizes = rows_that_fit(classify, 2)
    with pytest.raises(OutOfMemoryError, match=r"has not enough memory for 4 texts of \d+ tokens"):
        classify(texts, batch_size=8)
    assert sizes == [8, 4]
    assert classify(texts[:2]) == expected


def test_case_42_text_that_is_too_large_alone(classify: Any) -> None:
    sizes = rows_that_fit(classify, 0)
    with pytest.raises(OutOfMemoryError, match=r"not enough memory for 1 texts of \d+ tokens"):
        classify("The dog barked.")
    assert sizes == [1]
