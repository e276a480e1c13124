from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from distilroberta.bench.costs import steady_calls, steady_memory
from distilroberta.bench.costs.steady_memory import Sample, growth, measure, sampled, verdict
from distilroberta.bench.errors import BenchError, WorkerError
from distilroberta.runtime import Artifact

# As the fixture gives it: words to the exit code, standard output and standard error.
Bench = Callable[..., tuple[int, str, str]]


def line(start: int, slope: int, *, calls: int = 1000) -> list[Sample]:
    """Memory that grows by `slope` bytes a call in the last half, and by a lot before."""
    sizes = {at: start + slope * at if at >= calls / 2 else at for at in range(0, calls + 1, 100)}
    return [Sample(at, size, max(sizes.values())) for at, size in sizes.items()]


def test_memory_is_looked_at_evenly_and_at_powers_of_ten() -> None:
    found = sampled(10_000)
    assert found == sorted(set(found))
    assert {1, 10, 100, 200, 300, 1000, 9900, 10_000} <= set(found)
    assert found[-1] == 10_000
    assert sampled(1) == [1]
    assert sampled(7) == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("slope", [0, 5, -3])
def test_growth_is_that_of_the_last_half(slope: int) -> None:
    assert growth(line(10**8, slope)) == pytest.approx(1000 * slope, abs=1e-3)


def test_one_sample_has_no_growth() -> None:
    assert growth([Sample(0, 5, 5)]) == 0
    assert growth([Sample(0, 5, 5), Sample(1, 9, 9)]) == 0


def test_the_end_is_held_to_the_bound() -> None:
    assert "200.0 MB after 1,000 calls, within the bound of 200 MB" in verdict(line(2 * 10**8, 0))
    assert "growth over the last half +0.00 MB" in verdict(line(2 * 10**8, 0))
    grown = verdict(line(2 * 10**8, 2000))
    assert "202.0 MB after 1,000 calls, above the bound" in grown
    assert "growth over the last half +2.00 MB in 1,000 calls" in grown


def test_one_run_of_the_command(
    tmp_path: Path,
    mini_artifact: Artifact,
    bench: Bench,
) -> None:
    written = tmp_path / "measured.json"
    words = ["--artifact", str(mini_artifact.path), "--calls", "20", "--threads", "1"]
    code, printed, _ = bench("memory", *words, "--json", str(written))
    assert code == 0
    assert "none: loaded" in printed
    assert "MB after 20 calls, within the bound" in printed
    document = json.loads(written.read_text("utf-8"))
    assert document["verdict"] in " ".join(printed.split())
    samples = document["samples"]
    assert [one["calls"] for one in samples] == list(range(21))
    for one in samples:
        assert 10e6 < one["resident_bytes"] <= one["peak_bytes"] < 1e9


def test_memory_is_counted() -> None:
    before = steady_calls.memory()
    held = b"\1" * 100_000_000
    after = steady_calls.memory()
    assert after["resident_bytes"] - before["resident_bytes"] > 0.9 * len(held)
    assert after["peak_bytes"] >= after["resident_bytes"]


def test_a_system_that_does_not_tell(
    mini_artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = (one for one in [{"calls": 0}])
    monkeypatch.setattr(steady_memory.fresh_process, "lines", lambda *_, **__: found)
    with pytest.raises(BenchError, match="does not tell the memory of a process"):
        measure(mini_artifact, 1, 1)


def test_a_process_that_fails_is_an_error(classifier_artifact: Artifact) -> None:
    with pytest.raises(WorkerError, match="ours INT8: its process ended with code 1"):
        measure(classifier_artifact, 1, 1)  # it fills no mask


def test_there_must_be_a_call(bench: Bench) -> None:
    code, _, said = bench("memory", "--calls", "0")
    assert code == 2
    assert "--calls must be 1 or more" in said


def test_an_interrupted_run_shows_and_keeps_its_samples(
    tmp_path: Path, mini_artifact: Artifact, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[str] = []

    def lines(*_: Any, **__: Any) -> Iterator[dict[str, int]]:
        try:
            for calls in range(3):
                yield {"calls": calls, "resident_bytes": 5, "peak_bytes": 6}
            raise KeyboardInterrupt
        finally:
            ended.append("the process")

    monkeypatch.setattr(steady_memory.fresh_process, "lines", lines)
    written = tmp_path / "measured.json"
    words = ["--artifact", str(mini_artifact.path), "--calls", "20", "--json", str(written)]
    code, printed, _ = bench("memory", *words)
    assert code == 130
    assert "after 2 calls" in printed
    assert "stopped before the end" in printed
    document = json.loads(written.read_text("utf-8"))
    assert document["complete"] is False
    assert [one["calls"] for one in document["samples"]] == [0, 1, 2]
    assert ended == ["the process"]
