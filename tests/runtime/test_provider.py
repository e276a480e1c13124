"""The provider that was asked for runs, or an error says why it can't."""

from __future__ import annotations

import logging
from typing import Any

import onnxruntime
import pytest

from distilroberta.runtime import Artifact, ProviderError, pipeline
from distilroberta.runtime.provider import CPU, PROVIDERS, candidates, check_started

TEXT = "Paris is the <mask> of France."
CUDA, TENSORRT = "CUDAExecutionProvider", "TensorrtExecutionProvider"


@pytest.fixture
def built_with(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let onnxruntime claim that it is built with these providers."""

    def claim(*names: str) -> None:
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: list(names))

    return claim


class FakeSession:
    """Stands for a session that silently fell back to the CPU."""

    def __init__(self, path: str, options: Any, providers: list[str], **_: Any) -> None:
        self._real = REAL_SESSION(path, options, providers=[CPU])
        self.asked = providers

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


REAL_SESSION = onnxruntime.InferenceSession


@pytest.mark.parametrize("name", ["gpu", "", "CPU", "CUDAExecutionProvider", None], ids=repr)
def test_unknown_provider(mini_artifact: Artifact, name: Any) -> None:
    with pytest.raises(
        ProviderError, match=r"unknown provider .*: choose one of auto, cpu, cuda, "
    ):
        pipeline(None, mini_artifact, provider=name)


@pytest.mark.parametrize(("name", "needed"), [("cuda", CUDA), ("tensorrt", TENSORRT)])
def test_provider_that_is_not_built_in(
    mini_artifact: Artifact, built_with: Any, name: str, needed: str
) -> None:
    built_with(CPU)
    with pytest.raises(ProviderError) as caught:
        pipeline(None, mini_artifact, provider=name)
    message = str(caught.value)
    assert f"provider {name} needs {needed}" in message
    assert f"it has {CPU}" in message
    assert "install onnxruntime-gpu in place of onnxruntime" in message


@pytest.mark.parametrize("name", ["cuda", "tensorrt"])
def test_provider_that_does_not_start(
    mini_artifact: Artifact, built_with: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    built_with(TENSORRT, CUDA, CPU)
    monkeypatch.setattr(onnxruntime, "InferenceSession", FakeSession)
    with pytest.raises(ProviderError, match=f"provider {name} is built into .* did not start"):
        pipeline(None, mini_artifact, provider=name)


@pytest.mark.parametrize("running", [[CPU], [], [CUDA, CPU]], ids=["cpu", "none", "cuda"])
def test_fall_back_is_caught(running: list[str]) -> None:
    with pytest.raises(ProviderError, match=r"provider tensorrt is built into .* did not start"):
        check_started("tensorrt", running)


@pytest.mark.parametrize("name", list(PROVIDERS))
def test_provider_that_runs_passes(name: str) -> None:
    check_started(name, list(PROVIDERS[name]))


@pytest.mark.parametrize(
    ("built", "expected"),
    [
        ([CPU], ("cpu",)),
        ([CUDA, CPU], ("cuda", "cpu")),
        ([TENSORRT, CUDA, CPU], ("cuda", "cpu")),
        (["AzureExecutionProvider", CPU], ("cpu",)),
        (["CoreMLExecutionProvider"], ()),
    ],
    ids=["cpu", "cuda", "tensorrt", "azure", "none"],
)
def test_auto_tries_cuda_before_the_cpu(
    built_with: Any, built: list[str], expected: tuple[str, ...]
) -> None:
    built_with(*built)
    assert candidates("auto") == expected


def test_auto_without_any_provider(mini_artifact: Artifact, built_with: Any) -> None:
    built_with("CoreMLExecutionProvider")
    with pytest.raises(ProviderError, match="no provider that can run here"):
        pipeline(None, mini_artifact)


def test_auto_says_what_it_chose(
    mini_artifact: Artifact, built_with: Any, caplog: pytest.LogCaptureFixture
) -> None:
    built_with(CPU)
    with caplog.at_level(logging.INFO, "distilroberta"):
        assert pipeline(None, mini_artifact).provider == "cpu"
    assert "provider auto: chose cpu" in caplog.messages


def test_auto_goes_on_when_cuda_does_not_start(
    mini_artifact: Artifact,
    built_with: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    built_with(CUDA, CPU)
    monkeypatch.setattr(onnxruntime, "InferenceSession", FakeSession)
    with caplog.at_level(logging.INFO, "distilroberta"):
        pipe = pipeline(None, mini_artifact)
    assert pipe.provider == "cpu"
    assert caplog.messages == [
        "provider auto: cuda did not start, trying the next one",
        "provider auto: chose cpu",
    ]
    # What ran on a GPU in FP16 had to be INT8 here.
    assert pipe(TEXT) == pipeline(None, mini_artifact, variant="int8", provider="cpu")(TEXT)


def test_nothing_is_printed(mini_artifact: Artifact, capfd: pytest.CaptureFixture[str]) -> None:
    pipe = pipeline(None, mini_artifact, provider="cpu")
    pipe(TEXT)
    with pytest.raises(ProviderError, match="unknown provider"):
        pipeline(None, mini_artifact, provider="gpu")
    assert capfd.readouterr() == ("", "")


@pytest.fixture
def fails_on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let onnxruntime itself fail where its CUDA libraries would be loaded."""
    create = REAL_SESSION._create_inference_session

    def fail(self: Any, providers: Any, *rest: Any) -> None:
        if CUDA in providers:
            raise RuntimeError("libcudart.so.13: cannot open shared object file")
        create(self, providers, *rest)

    monkeypatch.setattr(REAL_SESSION, "_create_inference_session", fail)


@pytest.mark.usefixtures("fails_on_cuda")
def test_failure_of_a_provider_is_told_and_not_printed(
    mini_artifact: Artifact, built_with: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    built_with(CUDA, CPU)
    with pytest.raises(ProviderError, match=r"cuda did not start: libcudart.so.13"):
        pipeline(None, mini_artifact, provider="cuda")
    assert capfd.readouterr().out == ""


@pytest.mark.usefixtures("fails_on_cuda")
def test_auto_goes_on_after_a_failure_with_the_variant_of_the_cpu(
    mini_artifact: Artifact, built_with: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    built_with(CUDA, CPU)
    pipe = pipeline(None, mini_artifact)
    assert (pipe.provider, pipe.variant) == ("cpu", "int8")
    assert capfd.readouterr().out == ""
