"""What onnxruntime is asked for, and what is done when it does not give it, without a GPU."""

from __future__ import annotations

import dataclasses
import logging
from collections import Counter
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from distilroberta.runtime import Artifact, ArtifactError, ProviderError
from distilroberta.runtime.execution import engine_cache, gpu
from distilroberta.runtime.execution.engine_cache import EngineCache
from distilroberta.runtime.execution.provider_options import (
    CPU,
    CUDA,
    CpuOptions,
    CudaOptions,
    TensorRTOptions,
)
from distilroberta.runtime.execution.session import Session

REAL_SESSION = onnxruntime.InferenceSession
NO_CPU_NODES = "session.disable_cpu_ep_fallback"


def entry(settings: Any, name: str) -> str:
    try:
        return str(settings.get_session_config_entry(name))
    except RuntimeError:
        return "unset"


@pytest.mark.parametrize("spinning", [False, True])
@pytest.mark.parametrize("arena", [False, True])
def test_on_the_cpu(gpus: Any, mini_artifact: Artifact, spinning: bool, arena: bool) -> None:
    options = CpuOptions(spinning=spinning, memory_arena=arena)
    mini_artifact.session("int8", provider=options, threads=3)
    assert gpus.asked == [[(CPU, {})]]
    (settings,) = gpus.settings
    assert settings.intra_op_num_threads == 3
    assert settings.enable_cpu_mem_arena is arena
    assert entry(settings, "session.intra_op.allow_spinning") == str(int(spinning))
    assert entry(settings, NO_CPU_NODES) == "unset"


def test_threads_are_the_cpus_by_default(
    gpus: Any, mini_artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distilroberta.runtime.execution.session.usable_cpus", lambda: 7)
    assert mini_artifact.session("int8", provider="cpu").threads == 7
    assert gpus.settings[0].intra_op_num_threads == 7


def test_on_cuda(gpus: Any, mini_artifact: Artifact) -> None:
    session = mini_artifact.session(provider=CudaOptions(device_id=1))
    assert (session.provider, session.variant) == ("cuda", "fp16")
    assert gpus.asked == [[CudaOptions(device_id=1).listed(), (CPU, {})]]
    assert entry(gpus.settings[0], NO_CPU_NODES) == "unset"
    assert session.nodes() == {"cuda": 1, "tensorrt": 1}


def test_without_any_node_on_the_cpu(gpus: Any, mini_artifact: Artifact) -> None:
    """onnxruntime refuses the setting where the CPU is in the list."""
    mini_artifact.session(provider=CudaOptions(cpu_nodes="none"))
    assert gpus.asked == [[CudaOptions().listed()]]
    assert entry(gpus.settings[0], NO_CPU_NODES) == "1"


def test_onnxruntime_refuses_nodes_on_the_cpu(mini_artifact: Artifact) -> None:
    """The setting does what is expected of it: here every node is on the CPU."""
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4
    settings.add_session_config_entry(NO_CPU_NODES, "1")
    graph = str(mini_artifact.path / mini_artifact.variant("fp32").graph)
    with pytest.raises(Exception, match="fallback to CPU EP has been explicitly disabled"):
        REAL_SESSION(graph, settings, providers=[], enable_fallback=0)


def test_auto_goes_on_where_cuda_leaves_work_on_the_cpu(
    gpus: Any, mini_artifact: Artifact, caplog: pytest.LogCaptureFixture
) -> None:
    gpus.placed = {CUDA: ["Gather"], CPU: ["DynamicQuantizeLinear"]}
    with caplog.at_level(logging.WARNING, "distilroberta"):
        assert mini_artifact.session("int8").provider == "cpu"
    (warned,) = caplog.messages
    assert "leaves operators of the graph on the CPU: DynamicQuantizeLinear (1)" in warned
    assert "did not start" not in warned


@pytest.mark.parametrize(
    ("installed", "is_older"),
    [
        ("1.9.2", True),
        ("1.23.9", True),
        ("1.24", False),
        ("1.24.0", False),
        ("1.24.0.dev5+cpu", False),
        ("1.24rc1", False),
        ("1.100.0", False),
        ("2.0", False),
    ],
)
def test_newer_release_is_asked_for_where_it_is_needed(
    broken_artifact: Path, monkeypatch: pytest.MonkeyPatch, installed: str, is_older: bool
) -> None:
    artifact = Artifact(broken_artifact)
    spec = dataclasses.replace(artifact.variant("fp32"), onnxruntime="1.24.0")
    graph = artifact.file(spec.graph)
    graph.write_bytes(b"no graph")
    monkeypatch.setattr(onnxruntime, "__version__", installed)
    with pytest.raises(ArtifactError) as caught:
        Session("fp32", graph, spec, "cpu", 1)
    message = str(caught.value)
    assert f"onnxruntime {installed} can't load it" in message
    assert ("it needs 1.24.0 or newer" in message) is is_older


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> EngineCache:
    """A cache with an engine in it."""
    made = EngineCache(tmp_path)
    (tmp_path / "graph.engine").write_bytes(b"engine")
    made.record()
    monkeypatch.setattr(engine_cache, "of", lambda files, options: made)
    return made


def test_on_tensorrt(gpus: Any, mini_artifact: Artifact, cache: EngineCache) -> None:
    options = TensorRTOptions(device_id=2)
    session = mini_artifact.session("fp32", provider=options)
    assert session.provider == "tensorrt"
    expected = options.listed(["input_ids", "attention_mask"], str(cache.folder))
    assert gpus.asked == [[expected, CudaOptions(device_id=2).listed(), (CPU, {})]]


def test_without_engines_there_is_no_second_try(
    gpus: Any, mini_artifact: Artifact, cache: EngineCache
) -> None:
    (cache.folder / "graph.engine").unlink()
    gpus.failures = [RuntimeError("no TensorRT")] * 2
    with pytest.raises(ProviderError, match="provider tensorrt did not start: no TensorRT;"):
        mini_artifact.session("fp32", provider="tensorrt")
    assert len(gpus.asked) == 1


def test_no_cache_where_none_is_wanted(
    gpus: Any, mini_artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "describe", Counter)  # it would fail, were it called
    mini_artifact.session("fp32", provider=TensorRTOptions(cache=False))
    assert gpus.asked[0][0][1]["trt_engine_cache_enable"] == "False"
