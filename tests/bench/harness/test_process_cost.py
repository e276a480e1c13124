from __future__ import annotations

import subprocess
import sys

import pytest

from distilroberta.bench.errors import BenchError
from distilroberta.bench.harness import process_cost

MEBIBYTE = 2**20
TAKEN = 300 * MEBIBYTE


def test_memory_is_that_of_the_process_alone() -> None:
    """Though this process has more, and an earlier one had."""
    held = b"\1" * TAKEN
    large = process_cost.of([sys.executable, "-c", f"held = b'\\1' * {TAKEN}"])
    small = process_cost.of([sys.executable, "-c", "pass"])
    assert TAKEN < large.peak_bytes < TAKEN + 100 * MEBIBYTE
    assert 0 < small.peak_bytes < 100 * MEBIBYTE < len(held)


def test_waiting_is_no_work() -> None:
    waits = "import time; time.sleep(0.5)"
    works = "import time\nwhile time.process_time() < 0.5: pass"
    waiting, working = (process_cost.of([sys.executable, "-c", one]) for one in (waits, works))
    assert waiting.seconds >= 0.5 > waiting.cpu_seconds
    assert working.seconds >= working.cpu_seconds * 0.9
    assert working.cpu_seconds >= 0.5


def test_what_the_command_writes_is_not_mixed_up() -> None:
    assert process_cost.of([sys.executable, "-c", "print('{}')"]).seconds > 0


def test_command_that_fails_is_an_error() -> None:
    with pytest.raises(BenchError, match="failed with code 3: all is lost"):
        process_cost.of(["/bin/sh", "-c", "echo all is lost >&2; exit 3"])


def test_system_that_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(process_cost.os, "wait4")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("was run"))
    with pytest.raises(BenchError, match="does not tell what a process took"):
        process_cost.of(["true"])
