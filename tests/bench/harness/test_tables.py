from __future__ import annotations

import json
from dataclasses import replace

import pytest

from distilroberta.bench.harness import command_line, machine, tables
from distilroberta.bench.harness.interleave import Plan, Spread
from distilroberta.bench.harness.suite import Comparison, EngineResult, EngineSpec
from distilroberta.bench.harness.worker import Loaded
from distilroberta.bench.harness.workload import Shape, Workload
from distilroberta.runtime import InputError


@pytest.fixture
def comparison(workload: Workload) -> Comparison:
    def result(name: str, rounds: list[float], refused: str | None = None) -> EngineResult:
        spec = EngineSpec(name, "module:class", {}, 85_100_000, () if name == "slow" else ("slow",))
        measured = {} if refused else {workload.name: rounds}
        cosine = None if refused else 0.99969
        return EngineResult(
            spec, Loaded(0.25, None), 154_000_000, cosine, refused, measured, 300_000_000
        )

    engines = (
        result("fast", [1.0, 2.0, 3.0]),
        result("slow", [8.0, 8.0, 24.0]),
        result("wrong", [], "4 tokens: differs"),
    )
    return Comparison((workload,), Plan(rounds=3), engines)


def test_the_tables(comparison: Comparison, capsys: pytest.CaptureFixture[str]) -> None:
    tables.print_comparison(comparison, "a title")
    printed = capsys.readouterr().out
    fast = next(line for line in printed.splitlines() if "│ fast" in line)
    cells = [cell.strip() for cell in fast.strip("│").split("│")]
    assert cells == ["fast", "85.1", "-", "154.0", "0.25", "0.9997", "2.00 (1.50-2.50)"]
    assert "8.00 (6.00-8.00)" in printed  # 8, 4 and 8 times as fast
    assert "wrong was not timed: 4 tokens: differs" in printed


def test_json_holds_every_round(comparison: Comparison) -> None:
    document = json.loads(json.dumps(tables.measured(comparison)))
    assert document["plan"] == {"rounds": 3, "warmup": 2, "calls": 5, "seed": 0, "seconds": None}
    assert document["workloads"] == [{"name": "4 tokens", "rows": 1, "tokens": 4}]
    fast, _, wrong = document["engines"]
    measured = fast["workloads"]["4 tokens"]
    assert measured["rounds_ms"] == [1, 2, 3]
    assert measured["ms"] == {"median": 2, "low": 1.5, "high": 2.5}
    assert measured["times_as_fast_as"] == {"slow": {"median": 8, "low": 6, "high": 8}}
    assert (wrong["refused"], wrong["workloads"]) == ("4 tokens: differs", {})
    assert (fast["peak_bytes"], fast["failed"]) == (300_000_000, {})


def test_what_could_not_be_measured_is_told(
    comparison: Comparison, capsys: pytest.CaptureFixture[str]
) -> None:
    fast, slow, wrong = comparison.engines
    slow = replace(slow, rounds={}, failed={"4 tokens": "its process ended"})
    wrong = replace(wrong, loaded=None, resident_bytes=None, refused="could not be loaded: gone")
    partial = replace(comparison, engines=(fast, slow, wrong), warnings=("others used 0.7 CPUs",))
    tables.print_comparison(partial, "a title")
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == [
        "slow failed at 4 tokens: its process ended",
        "wrong was not timed: could not be loaded: gone",
    ]
    cells = [cell.strip() for cell in next(one for one in lines if "│ wrong" in one).split("│")]
    assert cells[1:-1] == ["wrong", "85.1", "-", "-", "-", "-", "-"]
    document = tables.measured(partial)
    assert [one["workloads"] for one in document["engines"][1:]] == [{}, {}]
    assert document["engines"][0]["workloads"]["4 tokens"]["times_as_fast_as"] == {}
    assert document["engines"][1]["failed"] == {"4 tokens": "its process ended"}
    assert document["engines"][2]["load_seconds"] is None


def test_a_machine_says_what_it_is() -> None:
    here = machine.describe(("pytest",))
    assert here.packages["pytest"] == pytest.__version__
    assert here.cpus >= 1
    assert here.cpu in str(here)
    assert f"onnxruntime {here.packages['onnxruntime']}" in str(here)


@pytest.mark.parametrize("listed", ["", "16,x", "0", "-1", "1.5", ","])
def test_numbers_that_are_none(listed: str) -> None:
    with pytest.raises(InputError, match="--lengths must be whole numbers"):
        command_line.numbers(listed, "--lengths")


def test_numbers() -> None:
    assert command_line.numbers("16, 128,16,", "--lengths") == [16, 128]


@pytest.mark.parametrize("listed", ["", "16,x", "8x", "0x16", "2x3x4", "-1", "1.5x2", ","])
def test_shapes_that_are_none(listed: str) -> None:
    with pytest.raises(InputError, match="--shapes must be tokens, or texts x tokens"):
        command_line.shapes(listed, "--shapes")


def test_shapes() -> None:
    found = command_line.shapes("16, 8x128,1x16", "--shapes")
    assert found == [Shape(1, 16), Shape(8, 128)]
    assert list(map(str, found)) == ["16 tokens", "8 x 128 tokens"]


def test_threads() -> None:
    assert command_line.threads(3) == 3
    assert command_line.threads(None) >= 1
    with pytest.raises(InputError, match="--threads must be 1 or more, found 0"):
        command_line.threads(0)


def test_a_spread_shows_three_digits() -> None:
    shown = [tables.spread(Spread(value, value, value)) for value in (0.5, 5.25, 52.5, 525.25)]
    assert shown == ["0.50 (0.50-0.50)", "5.25 (5.25-5.25)", "52.5 (52.5-52.5)", "525 (525-525)"]
