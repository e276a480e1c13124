from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from distilroberta.bench.harness import processes
from distilroberta.bench.harness.workload import Workload
from distilroberta.runtime import command_line


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


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """Every process a worker starts."""
    seen: list[subprocess.Popen[bytes]] = []

    class Watched(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            seen.append(self)

    monkeypatch.setattr(processes.subprocess, "Popen", Watched)
    return seen


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """An interpreter that stands for another environment: it marks its processes."""
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\nFAKE_ENVIRONMENT=7 exec "{sys.executable}" "$@"\n', "utf-8")
    script.chmod(0o755)
    return script


class Said(NamedTuple):
    """What a command ended with, and wrote."""

    code: int
    out: str
    err: str


@pytest.fixture
def bench(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Said]:
    """Run `distilroberta bench` with some words."""

    def run(*words: str) -> Said:
        capsys.readouterr()
        given = ["bench", *words]
        monkeypatch.setattr("sys.argv", ["distilroberta", *given])
        code = command_line.run(given)
        out, err = capsys.readouterr()
        return Said(code, out, " ".join(err.split()))

    return run
