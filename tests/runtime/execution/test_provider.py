"""The provider that was asked for runs, or an error says why it can't."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import onnxruntime
import pytest

from distilroberta.runtime import Artifact, InputError, ProviderError, pipeline
from distilroberta.runtime.execution.provider import (
    PROVIDERS,
    candidates,
    check_started,
    options_of,
)
from distilroberta.runtime.execution.provider_options import (
    CPU,
    CUDA,
    TENSORRT,
    CpuOptions,
    CudaOptions,
    TensorRTOptions,
)

TEXT = "Paris is the <mask> of France."


class FakeSession:
    """Stands for a session that silently fell back to the CPU."""

    def __init__(self, path: str, options: Any, providers: list[Any], **_: Any) -> None:
        self._real = REAL_SESSION(path, options, providers=[CPU])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class Running:
    """Says that it runs on these providers, with these options."""

    def __init__(self, **options: dict[str, str]) -> None:
        self.options = options

    def get_providers(self) -> list[str]:
        return list(self.options)

    def get_provider_options(self) -> dict[str, dict[str, str]]:
        return self.options


@pytest.fixture(autouse=True)
def without_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where engines are kept is not what is tested here."""
    monkeypatch.setattr(
        "distilroberta.runtime.execution.engine_cache.of", lambda files, options: None
    )


REAL_SESSION = onnxruntime.InferenceSession


@pytest.mark.parametrize("name", ["cuda", "tensorrt"])
def test_provider_that_does_not_start(
    mini_artifact: Artifact, built_with: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    built_with(TENSORRT, CUDA, CPU)
    monkeypatch.setattr(onnxruntime, "InferenceSession", FakeSession)
    with pytest.raises(ProviderError, match=f"provider {name} is built into .* did not start"):
        pipeline(None, mini_artifact, provider=name)


@pytest.mark.parametrize(
    "running", [{CPU: {}}, {}, {CUDA: {"device_id": "0"}, CPU: {}}], ids=["cpu", "none", "cuda"]
)
def test_fall_back_is_caught(running: dict[str, dict[str, str]]) -> None:
    with pytest.raises(ProviderError, match=r"provider tensorrt is built into .* did not start"):
        check_started(TensorRTOptions(), Running(**running))


@pytest.mark.parametrize("options", [CpuOptions(), CudaOptions(device_id=2), TensorRTOptions()])
def test_provider_that_runs_passes(options: Any) -> None:
    device = {"device_id": str(getattr(options, "device_id", ""))}
    check_started(options, Running(**{options.needs: device, CPU: {}}))


@pytest.mark.parametrize("found", [{"device_id": "0"}, {}])
@pytest.mark.parametrize("options", [CudaOptions(device_id=1), TensorRTOptions(device_id=1)])
def test_another_device_is_refused(options: Any, found: dict[str, str]) -> None:
    with pytest.raises(ProviderError, match=r"runs on device .*, not on 1: choose another"):
        check_started(options, Running(**{options.needs: found, CPU: {}}))


@pytest.mark.parametrize("name", list(PROVIDERS))
def test_a_name_stands_for_the_default_options(name: str) -> None:
    assert options_of(name) == PROVIDERS[name]()
    assert options_of(name).name == name


def test_options_in_place_of_a_name(mini_artifact: Artifact, built_with: Any) -> None:
    options = CpuOptions(spinning=True)
    assert options_of(options) is options
    assert mini_artifact.session(provider=options).options is options
    built_with(CPU)
    with pytest.raises(ProviderError, match=f"provider cuda needs {CUDA}"):
        mini_artifact.session(provider=CudaOptions(device_id=1))


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
    assert tuple(options.name for options in candidates("auto")) == expected


def test_arrays_in_place_of_names(mini_artifact: Artifact) -> None:
    array = np.arange(100).reshape(10, 10)
    with pytest.raises(
        ProviderError, match=r"^unknown provider array\(.*: choose one of"
    ) as caught:
        mini_artifact.session(provider=array)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    with pytest.raises(ProviderError, match="unknown provider array"):
        mini_artifact.choose(array)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"variant array\(.* is not in"):
        mini_artifact.session(array)  # type: ignore[arg-type]


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
    warned, chosen = caplog.messages
    assert warned.startswith(
        "provider auto: trying the next one, for provider cuda is built into onnxruntime but did "
        "not start"
    )
    assert chosen == "provider auto: chose cpu"
    # What ran on a GPU in FP16 had to be INT8 here.
    assert pipe(TEXT) == pipeline(None, mini_artifact, variant="int8", provider="cpu")(TEXT)


def test_nothing_is_printed(mini_artifact: Artifact, capfd: pytest.CaptureFixture[str]) -> None:
    pipe = pipeline(None, mini_artifact, provider="cpu")
    pipe(TEXT)
    with pytest.raises(ProviderError, match="unknown provider"):
        pipeline(None, mini_artifact, provider="gpu")
    assert capfd.readouterr() == ("", "")


def _named(listed: Any) -> tuple[str, Any]:
    return (listed, {}) if isinstance(listed, str) else listed


@pytest.fixture
def fails_on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let onnxruntime itself fail where its CUDA libraries would be loaded."""
    create = REAL_SESSION._create_inference_session

    def fail(self: Any, providers: Any, *rest: Any) -> None:
        if CUDA in dict(map(_named, providers)):
            raise RuntimeError("libcudart.so.13: cannot open shared object file")
        create(self, providers, *rest)

    monkeypatch.setattr(REAL_SESSION, "_create_inference_session", fail)


@pytest.mark.usefixtures("fails_on_cuda")
def test_auto_goes_on_after_a_failure_with_the_variant_of_the_cpu(
    mini_artifact: Artifact, built_with: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    built_with(CUDA, CPU)
    pipe = pipeline(None, mini_artifact)
    assert (pipe.provider, pipe.variant) == ("cpu", "int8")
    assert capfd.readouterr().out == ""
