from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from distilroberta.bench.errors import WorkerError
from distilroberta.bench.harness.answers import ask, check, cosine
from distilroberta.bench.harness.workload import Workload

RIGHT = np.array([[1, 2, 4, 9]], dtype=np.float32)


class Fixed:
    def __init__(self, name: str, logits: Any) -> None:
        self.name, self.logits = name, np.asarray(logits, dtype=np.float32)

    def answer(self, workload: Workload) -> NDArray[np.float32]:
        return self.logits


class Dead(Fixed):
    def answer(self, workload: Workload) -> NDArray[np.float32]:
        raise WorkerError(self.name, "its process ended", "its last words")


def test_a_constant_added_to_all_logits_is_the_same_answer() -> None:
    assert cosine(RIGHT + 1000, RIGHT) == pytest.approx(1)
    assert cosine(2 * RIGHT, RIGHT) == pytest.approx(1)


def test_cosine_of_known_vectors() -> None:
    # Less their means: (-1, 0, 1) and (0, -1, 1); their product is 1, their lengths are sqrt(2).
    one, other = (np.array([values], dtype=np.float32) for values in ([0, 1, 2], [1, 0, 2]))
    assert cosine(one, other) == pytest.approx(0.5)
    assert cosine(np.ones((1, 3), np.float32), other) == 0


def test_the_rows_of_a_batch_are_one_vector_each_less_its_mean() -> None:
    # Less their means: (-1, 1, -2, 2) and (-1, 1, 2, -2); product 2 - 8, squared lengths 10.
    one = np.array([[0, 2], [100, 104]], dtype=np.float32)
    other = np.array([[50, 52], [4, 0]], dtype=np.float32)
    assert cosine(one, other) == pytest.approx(-0.6)
    assert cosine(one, one[::-1]) == pytest.approx(0.8)  # rows in a wrong order are seen


def test_engines_that_answer_differently_are_named(workload: Workload) -> None:
    engines = [
        Fixed("right", RIGHT),
        Fixed("shifted", RIGHT - 3),
        Fixed("reversed", RIGHT[:, ::-1]),
        Fixed("short", RIGHT[:, :3]),
        Fixed("broken", RIGHT * np.nan),
        Dead("dead", RIGHT),
    ]
    right = {workload.name: RIGHT}
    expected = {engine.name: right for engine in engines}
    passed, refused = check(engines, [workload], expected=expected, least=0.99)
    assert passed == {"right": pytest.approx(1), "shifted": pytest.approx(1)}
    assert set(refused) == {"reversed", "short", "broken", "dead"}
    assert "must be 0.99 or more" in refused["reversed"]
    assert refused["short"] == "4 tokens: answers with shape (1, 3), must be (1, 4)"
    assert "nan" in refused["broken"]
    assert refused["dead"] == "4 tokens: its process ended"


def test_each_engine_has_its_own_right_answers(workload: Workload) -> None:
    engines = [Fixed("one", RIGHT), Fixed("other", -RIGHT)]
    expected = {engine.name: ask(engine, [workload]) for engine in engines}
    passed, refused = check(engines, [workload], expected=expected, least=0.99)
    assert passed == {"one": pytest.approx(1), "other": pytest.approx(1)}
    swapped = dict(zip(("other", "one"), expected.values(), strict=True))
    passed, refused = check(engines, [workload], expected=swapped, least=0.99)
    assert passed == {}
    assert set(refused) == {"one", "other"}


def test_the_lowest_cosine_of_all_workloads_is_told(workload: Workload, batch: Workload) -> None:
    near = RIGHT + np.array([[0.5, 0, 0, 0]], dtype=np.float32)
    expected = {"one": {workload.name: RIGHT, batch.name: near}}
    passed, _ = check([Fixed("one", RIGHT)], [workload, batch], expected=expected, least=0.9)
    assert passed == {"one": pytest.approx(cosine(RIGHT, near))}
    assert 0.9 < passed["one"] < 0.999


def test_who_is_asked_answers_by_workload(workload: Workload, batch: Workload) -> None:
    found = ask(Fixed("one", RIGHT), [workload, batch])
    assert list(found) == ["4 tokens", "2 x 4 tokens"]
    with pytest.raises(WorkerError, match="dead: its process ended"):
        ask(Dead("dead", RIGHT), [workload])
