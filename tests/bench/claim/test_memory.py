"""What a cell needs, and whether the machine has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from distilroberta.bench.claim import memory
from distilroberta.bench.harness.workload import Workload


def cell(rows: int, tokens: int) -> Workload:
    return Workload(f"{rows} x {tokens}", (), ((0,) * tokens,) * rows, ())


def test_logits_of_every_token_are_what_is_large() -> None:
    def needed(task: str, engine: str) -> int:
        return memory.needed_bytes(cell(32, 512), task, engine, (50265, 50265), 10**9)

    for engine in ("usual export", "torch"):
        assert 20e9 < needed("fill-mask", engine) < 22e9
        assert needed("feature-extraction", engine) == 10**9
    assert needed("fill-mask", "ours") == 10**9


def test_a_workload_that_needs_more_than_there_is_is_told() -> None:
    needed = {"small": 7_500_000_000, "large": 20_800_000_000}
    assert memory.without_room(needed, 7_500_000_000) == {
        "large": "needs about 21 GB, 7.5 GB are free"
    }
    assert memory.without_room(needed, None) == {}


def test_what_is_free_is_what_the_kernel_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "meminfo"
    monkeypatch.setattr(memory, "_MEMINFO", file)
    assert memory.available_bytes() is None
    file.write_text("MemTotal: 24684096 kB\nMemFree: 5 kB\nMemAvailable:   2000 kB\n", "utf-8")
    assert memory.available_bytes() == 2_048_000
    file.write_text("MemTotal: 24684096 kB\n", "utf-8")
    assert memory.available_bytes() is None
