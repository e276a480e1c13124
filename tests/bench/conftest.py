from __future__ import annotations

from pathlib import Path

import pytest

from distilroberta.bench.workload import Workload


@pytest.fixture
def workload() -> Workload:
    return Workload("4 tokens", ("<mask> fell",), ((0, 5, 6, 2),), (1,))


@pytest.fixture
def batch() -> Workload:
    """Two texts, whose masks (5) stand at different places."""
    texts, ids = ("<mask> fell", "It <mask>"), ((0, 5, 6, 2), (0, 7, 5, 2))
    return Workload("2 x 4 tokens", texts, ids, (1, 2))


@pytest.fixture
def _fake_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let worker processes import `fake_engines`."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
