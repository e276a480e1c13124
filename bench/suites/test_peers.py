"""Other engines on the same checkpoint, for pytest-benchmark: token ids to logits.

    pytest bench/ --benchmark-only -k peers

A group is a task and a shape; its rows are PyTorch, optimum-onnx's export in FP32 and INT8, ours,
and for classification `torch.compile`. An engine whose answers differ from PyTorch's fails before
it is timed. All of them run in this one process, one after the other: their thread pools are not
apart and may disturb one another, and another minute is another machine. They are small too, see
`conftest`. So this shows what a change of our own code does; `distilroberta bench peers` gives each
engine a process of its own and interleaves them, and has OpenVINO and CTranslate2 as well: quote
that one. Nothing here asserts a speed.
"""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distilroberta.bench.engines.sessions import ArtifactSession, Engine, OnnxSession
from distilroberta.bench.engines.torch_engines import TorchModel
from distilroberta.bench.harness import answers
from distilroberta.bench.harness.workload import Shape
from distilroberta.bench.models import optimum_export, texts
from distilroberta.bench.peers import precision
from distilroberta.bench.peers.run import LEAST_COSINE, LEAST_COSINE_OF_FP32
from distilroberta.runtime import Artifact
from distilroberta.runtime.execution.cpu_limit import usable_cpus

_TASKS = ("fill-mask", "text-classification")
_SHAPES = (Shape(1, 128),)
_VARIANTS = ("fp32", "int8")
_LAYERS = 6
_REFERENCE, _COMPILED = "torch", "torch.compile"
_ENGINES = (_REFERENCE, _COMPILED, "optimum FP32", "optimum INT8", "ours fp32", "ours int8")
# Each task and shape takes a compiler many seconds, which is more than all the rest here.
_CASES = [
    (task, name) for task in _TASKS for name in _ENGINES if (task, name) != (_TASKS[0], _COMPILED)
]

# task, engine
Engines = Callable[[str, str], Engine]


@pytest.fixture(scope="session")
def engine(
    checkpoint: Callable[..., Path],
    built: Callable[..., Artifact],
    tmp_path_factory: pytest.TempPathFactory,
) -> Engines:
    """Load engines, each once: `engine(task, name)`."""
    folder, threads = tmp_path_factory.mktemp("optimum"), usable_cpus()

    @functools.cache
    def exported(task: str) -> optimum_export.Exported:
        return optimum_export.export(checkpoint(task, _LAYERS), folder / task, task, tied=False)

    @functools.cache
    def load(task: str, name: str) -> Engine:
        if name in (_REFERENCE, _COMPILED):
            source = str(checkpoint(task, _LAYERS))
            return TorchModel(source, task, threads, compiled=name == _COMPILED)
        if name.startswith("ours"):
            return ArtifactSession(
                str(built(task, _LAYERS, _VARIANTS).path), name.split()[1], threads
            )
        file = optimum_export.FP32 if name == "optimum FP32" else optimum_export.INT8
        return OnnxSession(str(exported(task).untied / file), threads)

    return load


@pytest.mark.parametrize(("task", "name"), _CASES)
@pytest.mark.parametrize("shape", _SHAPES, ids=str)
def test_peers(
    benchmark: Any,
    built: Callable[..., Artifact],
    engine: Engines,
    circumstances: dict[str, Any],
    digest: Callable[[Artifact], str],
    task: str,
    shape: Shape,
    name: str,
) -> None:
    """Run an engine on ready token ids, after its answers were compared with PyTorch's."""
    if name == _COMPILED and not shutil.which("g++"):
        pytest.skip("torch.compile takes a C++ compiler: there is no g++")
    artifact = built(task, _LAYERS, _VARIANTS)
    (workload,) = texts.of_artifact(artifact, [shape])
    found, right = (engine(task, one).answer(workload) for one in (name, _REFERENCE))
    exact = precision.of(name) == precision.FP32
    assert found.shape == right.shape
    assert answers.cosine(found, right) >= (LEAST_COSINE_OF_FP32 if exact else LEAST_COSINE)
    benchmark.group = f"peers, {task}, {shape}"
    benchmark.extra_info.update(circumstances, artifact=digest(artifact), layers=_LAYERS)
    benchmark(engine(task, name).call(workload))
