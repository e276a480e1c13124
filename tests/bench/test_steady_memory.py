from __future__ import annotations

import json
from pathlib import Path

import pytest

from distilroberta.bench import steady_calls, steady_memory
from distilroberta.bench.command_line import run
from distilroberta.bench.errors import BenchError, WorkerError
from distilroberta.bench.steady_memory import Sample, growth, measure, sampled, verdict
from distilroberta.runtime import Artifact


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
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    written = tmp_path / "measured.json"
    words = ["--artifact", str(mini_artifact.path), "--calls", "20", "--threads", "1"]
    monkeypatch.setattr("sys.argv", ["steady_memory", *words, "--json", str(written)])
    with pytest.raises(SystemExit) as caught:
        run(steady_memory.main)
    assert not caught.value.code
    printed = capsys.readouterr().out
    assert "none: loaded" in printed
    assert "MB after 20 calls, within the bound" in printed
    samples = json.loads(written.read_text("utf-8"))["samples"]
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
    monkeypatch.setattr(steady_memory.fresh_process, "lines", lambda *_, **__: [{"calls": 0}])
    with pytest.raises(BenchError, match="does not tell the memory of a process"):
        measure(mini_artifact, 1, 1)


def test_a_process_that_fails_is_an_error(classifier_artifact: Artifact) -> None:
    with pytest.raises(WorkerError, match="ours INT8: its process ended with code 1"):
        measure(classifier_artifact, 1, 1)  # it fills no mask


def test_there_must_be_a_call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["steady_memory", "--calls", "0"])
    with pytest.raises(SystemExit) as caught:
        run(steady_memory.main)
    assert caught.value.code == 2
    assert "--calls must be 1 or more" in capsys.readouterr().err
