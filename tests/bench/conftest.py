from __future__ import annotations

from pathlib import Path

import pytest

from distilroberta.bench.workload import Workload


@pytest.fixture
def workload() -> Workload:
    return Workload("4 tokens", "<mask> fell", (0, 5, 6, 2), 1)


@pytest.fixture
def _fake_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let worker processes import `fake_engines`."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
