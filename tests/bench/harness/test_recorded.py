from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from distilroberta.bench.errors import BenchError
from distilroberta.bench.harness import machine, recorded
from distilroberta.bench.harness.results_file import ResultsFile


class Busy:
    """Finds the machine busy at the end, and not before."""

    def warnings(self, threads: int) -> list[str]:
        return [f"others were there beside {threads} threads"]


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(recorded, "Watch", Busy)
    return tmp_path / "measured.json"


@pytest.fixture
def file(written: Path) -> ResultsFile:
    return ResultsFile(written, "some-benchmark", machine.describe())


def read(path: Path) -> Mapping[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


def show(rounds: list[int]) -> None:
    print(f"found {rounds}")  # noqa: T201


def to_json(rounds: list[int]) -> dict[str, Any]:
    return {"rounds": rounds}


def test_the_last_that_was_kept_is_what_was_found(
    file: ResultsFile, written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with recorded.recorded(file, 3, show, to_json) as keep:
        assert not written.exists()
        keep([1])
        assert (read(written)["complete"], read(written)["rounds"]) == (False, [1])
        keep([1, 2])
        assert read(written)["rounds"] == [1, 2]
        assert capsys.readouterr().out == ""
    assert (read(written)["complete"], read(written)["rounds"]) == (True, [1, 2])
    assert read(written)["warnings"] == ["others were there beside 3 threads"]
    assert capsys.readouterr().out.splitlines() == [
        "found [1, 2]",
        "warning: others were there beside 3 threads",
    ]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), BenchError("it fell")])
def test_what_stops_a_run_leaves_what_was_kept(
    error: BaseException, file: ResultsFile, written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def measure() -> None:
        with recorded.recorded(file, 3, show, to_json) as keep:
            keep([1])
            raise error

    with pytest.raises(type(error)):
        measure()
    assert (read(written)["complete"], read(written)["rounds"]) == (False, [1])
    assert read(written)["warnings"] == ["others were there beside 3 threads"]
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "found [1]"
    assert printed[-1] == "stopped before the end: this is what was measured until then"


def test_what_stops_a_run_before_its_first_round_leaves_nothing(
    file: ResultsFile, written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(KeyboardInterrupt), recorded.recorded(file, 3, show, to_json):
        raise KeyboardInterrupt
    assert not written.exists()
    assert capsys.readouterr().out == ""
