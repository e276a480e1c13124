from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from distilroberta.bench.costs import import_cost
from distilroberta.bench.costs.import_cost import NEEDED, RUNTIME, measure, seconds
from distilroberta.bench.errors import BenchError
from distilroberta.bench.harness.interleave import Spread
from distilroberta.runtime import InputError

# As the fixture gives it: words to the exit code, standard output and standard error.
Bench = Callable[..., tuple[int, str, str]]


def test_the_difference_is_taken_in_each_round() -> None:
    asked: list[str] = []

    def clock(statement: str) -> float:
        number = len(asked) // 2  # the machine gets slower by a second a round
        asked.append(statement)
        return number + {NEEDED: 0.5, RUNTIME: 0.625}[statement]

    cost = measure(4, clock=clock)
    assert len(asked) == 10  # with the round that is thrown away
    assert all({asked[start], asked[start + 1]} == {NEEDED, RUNTIME} for start in range(0, 10, 2))
    assert cost.difference == Spread(0.125, 0.125, 0.125)
    assert cost.needed == Spread(3.0, 2.25, 3.75)


def test_a_statement_is_timed_in_a_process_of_its_own() -> None:
    assert seconds("import sys; assert 'onnxruntime' not in sys.modules") >= 0


@pytest.mark.parametrize(
    ("statement", "says"),
    [("import no_such_module", "No module named"), ("print('more')", "could not be timed")],
)
def test_a_statement_that_fails_is_an_error(statement: str, says: str) -> None:
    with pytest.raises(BenchError, match=says):
        seconds(statement)


def test_there_must_be_a_round() -> None:
    with pytest.raises(InputError, match="--rounds"):
        measure(0)


def test_one_run_of_the_command(
    tmp_path: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    cost = import_cost.ImportCost(Spread(0.5, 0.4, 0.6), Spread(0.7, 0.6, 0.8), Spread(0.2, 0, 1))
    monkeypatch.setattr(import_cost, "measure", lambda rounds: cost)
    written = tmp_path / "measured.json"
    code, printed, _ = bench("import", "--rounds", "3", "--json", str(written))
    assert code == 0
    assert "0.200 s more: above the bound of 0.15 s" in printed
    document = json.loads(written.read_text("utf-8"))
    assert (document["benchmark"], document["rounds"]) == ("import", 3)
    assert document["needed"] == {"median": 0.5, "low": 0.4, "high": 0.6}
    assert document["difference"]["median"] == 0.2
    assert document["verdict"] == "0.200 s more: above the bound of 0.15 s"
