"""What the suites measure and how: small artifacts, each built once and when it is first asked for.

The checkpoints have random weights and the shape of `examples/mini`: 192 wide, 8,000 tokens, with 6
layers as DistilRoBERTa or 12 as RoBERTa-base. At the real width, building them alone would take
longer than all that is measured here.
"""

from __future__ import annotations

import functools
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from distilroberta.bench.engines import pipeline_inputs
from distilroberta.bench.engines.sessions import arrays
from distilroberta.bench.harness import machine
from distilroberta.bench.harness.revision import revision
from distilroberta.bench.harness.workload import Shape
from distilroberta.bench.models import texts
from distilroberta.bench.models.checkpoints import DISTILROBERTA, MINI, random_checkpoint
from distilroberta.export import build
from distilroberta.runtime import Artifact, layout, pipeline
from distilroberta.runtime.execution.cpu_limit import usable_cpus

# task, layers; of artifacts, the variants
Checkpoints = Callable[[str, int], Path]
Built = Callable[[str, int, tuple[str, ...]], Artifact]
# level, artifact, variant, shape
Call = Callable[[str, Artifact, str, Shape], Callable[[], Any]]

# Of every benchmark here, whatever the command line says.
_HOW: dict[str, Any] = {
    "disable_gc": True,
    "timer": time.perf_counter,
    "warmup": True,
    "warmup_iterations": 3,
}
# Seconds for each benchmark, in place of pytest-benchmark's default; `--benchmark-max-time` may ask
# for others. All of them together are to take less than four minutes on two cores.
_DEFAULT_MAX_TIME = 1.0
_MAX_TIME = 0.5


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Set how the suites in this folder are measured."""
    how = dict(_HOW)
    if float(config.getoption("benchmark_max_time")) == _DEFAULT_MAX_TIME:
        how["max_time"] = _MAX_TIME
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.benchmark(**how))


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoints:
    """Write checkpoints: `checkpoint(task, layers)`."""
    if not (MINI / "config.json").is_file():
        pytest.skip(f"no checkpoint at {MINI}: the suites run in a clone")
    folder = tmp_path_factory.mktemp("checkpoints")
    config = json.loads((MINI / "config.json").read_text("utf-8"))
    shape = {name: config[name] for name in DISTILROBERTA}

    @functools.cache
    def make(task: str, layers: int) -> Path:
        path = folder / f"{task}-{layers}"
        return random_checkpoint(path, task=task, **{**shape, "num_hidden_layers": layers})

    return make


@pytest.fixture(scope="session")
def built(checkpoint: Checkpoints, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Build artifacts: `built(task, layers, variants)`."""
    folder = tmp_path_factory.mktemp("artifacts")

    @functools.cache
    def make(task: str, layers: int, variants: tuple[str, ...]) -> Artifact:
        # A checkpoint of any task gives features, without its head.
        source = checkpoint("fill-mask" if task == "feature-extraction" else task, layers)
        place = folder / "-".join([task, str(layers), *variants])
        return build(source, place, task=task, variants=variants)

    return make


@pytest.fixture(scope="session")
def call() -> Call:
    """Return what is timed: `call(level, artifact, variant, shape)`.

    On the level `session` it runs the graph on ready token ids; on the level `pipeline` it goes
    from texts to answers. Both get as many threads as the process has CPUs.
    """

    def make(level: str, artifact: Artifact, variant: str, shape: Shape) -> Callable[[], Any]:
        (workload,) = texts.of_artifact(artifact, [shape])
        threads = usable_cpus()
        if level == "session":
            session = artifact.session(variant, provider="cpu", threads=threads)
            return functools.partial(session.run, *arrays(workload))
        pipe = pipeline(
            artifact.task,
            artifact,
            variant=variant,
            provider="cpu",
            threads=threads,
            **pipeline_inputs.OPTIONS.get(artifact.task, {}),
        )
        return functools.partial(pipe, pipeline_inputs.inputs(artifact.task, workload.texts))

    return make


@pytest.fixture(scope="session")
def circumstances() -> dict[str, Any]:
    """The machine, the threads, the versions and the revision, for every benchmark's extra info."""
    described = asdict(machine.describe(["pytest-benchmark"]))
    versions = described.pop("packages")
    return {
        "machine": described,
        "threads": usable_cpus(),
        "versions": versions,
        "revision": revision(),
    }


@pytest.fixture(scope="session")
def digest() -> Callable[[Artifact], str]:
    """Return the SHA-256 of an artifact's manifest, which lists those of its files."""

    @functools.cache
    def of(artifact: Artifact) -> str:
        return hashlib.sha256((artifact.path / layout.MANIFEST).read_bytes()).hexdigest()

    return of
