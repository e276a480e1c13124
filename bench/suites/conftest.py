"""What the latency suite measures: the mini checkpoint, built once."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from distilroberta.bench import machine
from distilroberta.bench.checkpoints import MINI
from distilroberta.export import build
from distilroberta.runtime import Artifact, layout
from distilroberta.runtime.execution.cpu_limit import usable_cpus


@pytest.fixture(scope="session")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The bundled checkpoint in all variants."""
    if not (MINI / "config.json").is_file():
        pytest.skip(f"no checkpoint at {MINI}: the latency suite runs in a clone")
    folder = tmp_path_factory.mktemp("latency") / "artifact"
    return build(MINI, folder, variants=layout.VARIANTS)


@pytest.fixture(scope="session")
def circumstances() -> dict[str, Any]:
    """The machine, the threads and the versions, for the `extra_info` of every benchmark."""
    return {"machine": asdict(machine.describe()), "threads": usable_cpus()}
