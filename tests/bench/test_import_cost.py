from __future__ import annotations

import pytest

from distilroberta.bench.errors import BenchError
from distilroberta.bench.import_cost import NEEDED, RUNTIME, measure, seconds
from distilroberta.bench.interleave import Spread
from distilroberta.runtime import InputError


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
