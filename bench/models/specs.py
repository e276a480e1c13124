"""Engines that several comparisons have in common, as `suite.compare` takes them."""

from __future__ import annotations

from pathlib import Path

from distilroberta.bench.harness.suite import EngineSpec
from distilroberta.runtime import Artifact

_ENGINES = "distilroberta.bench.engines.sessions"
_OPTIMUM_PIPELINE = "distilroberta.bench.engines.pipeline_engines:OptimumPipeline"


def artifact_engine(
    name: str,
    engine: str,
    artifact: Artifact,
    variant: str,
    threads: int,
    baselines: tuple[str, ...] = (),
) -> EngineSpec:
    """Describe a variant of an artifact, run by `ArtifactSession` or `ArtifactPipeline`.

    Raises:
        InputError: the artifact has no such variant.
    """
    arguments = {"artifact": str(artifact.path), "variant": variant, "threads": threads}
    size = artifact.bytes_of(variant)
    return EngineSpec(name, f"{_ENGINES}:{engine}", arguments, size, baselines)


def onnx_session(name: str, graph: Path, threads: int) -> EngineSpec:
    """Describe a standard graph, a file of its own, in a bare onnxruntime session."""
    arguments = {"graph": str(graph), "threads": threads}
    return EngineSpec(name, f"{_ENGINES}:OnnxSession", arguments, graph.stat().st_size)


def optimum_pipeline(name: str, graph: Path, threads: int) -> EngineSpec:
    """Describe a graph of optimum's fill-mask export, run as its users do."""
    arguments = {
        "folder": str(graph.parent),
        "file": graph.name,
        "task": "fill-mask",
        "threads": threads,
    }
    return EngineSpec(name, _OPTIMUM_PIPELINE, arguments, graph.stat().st_size)
