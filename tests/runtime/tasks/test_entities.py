"""Words and entities are put together by the rules of transformers, seen by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from distilroberta.runtime.tasks import entities
from distilroberta.runtime.tasks.entities import Unit

LABELS = {0: "O", 1: "B-PER", 2: "I-PER", 3: "PER", 4: "B-NEW-YORK", 5: "X-A"}


def _units(*labels: int) -> list[Unit]:
    return [Unit(label, 0.5, f"w{i}", 3 * i, 3 * i + 2) for i, label in enumerate(labels)]


def _groups(*labels: int) -> list[tuple[str, str]]:
    found = entities.entities(_units(*labels), LABELS, "+".join)
    return [(one["entity_group"], one["word"]) for one in found]


def test_beginning_ends_what_came_before() -> None:
    assert _groups(1, 2, 1, 2, 2) == [("PER", "w0+w1"), ("PER", "w2+w3+w4")]


def test_inside_goes_on_after_anything_of_its_kind() -> None:
    assert _groups(2, 3, 2, 0, 2) == [("PER", "w0+w1+w2"), ("O", "w3"), ("PER", "w4")]


def test_name_is_what_follows_the_first_hyphen() -> None:
    assert _groups(4, 5) == [("NEW-YORK", "w0"), ("A", "w1")]


def test_entity_has_the_mean_score_and_both_ends() -> None:
    first, second = Unit(1, 0.25, "a", 0, 2), Unit(2, 0.75, "b", 3, 9)
    assert entities.entities([first, second], LABELS, "".join) == [
        {"entity_group": "PER", "score": 0.5, "word": "ab", "start": 0, "end": 9}
    ]


@pytest.mark.parametrize(
    ("strategy", "label", "score"), [("first", 0, 0.6), ("max", 2, 0.7), ("average", 1, 0.4)]
)
def test_word_gets_one_label(strategy: str, label: int, score: float) -> None:
    scores = np.array([[0.6, 0.4, 0.0], [0.0, 0.5, 0.5], [0.0, 0.3, 0.7]], dtype=np.float32)
    tokens = [
        Unit(int(row.argmax()), float(row.max()), spelling, i, i + 1)
        for i, (row, spelling) in enumerate(zip(scores, "abc", strict=True))
    ]
    found = entities.words(tokens, [False, True, True], scores, strategy, "".join)
    assert found == [Unit(label, pytest.approx(score), "abc", 0, 3)]


def test_first_token_begins_a_word_whatever_it_is() -> None:
    scores = np.full((3, 2), 0.5, dtype=np.float32)
    found = entities.words(_units(0, 0, 0), [True, True, False], scores, "first", "+".join)
    assert [unit.spelling for unit in found] == ["w0+w1", "w2"]
    assert entities.words([], [], scores[:0], "max", "".join) == []


def _spans(*spans: tuple[int, int, float]) -> list[dict[str, Any]]:
    return [{"start": start, "end": end, "score": score} for start, end, score in spans]


def test_longer_of_two_that_overlap_stays_then_the_surer() -> None:
    found = entities.without_overlaps(
        _spans((0, 3, 0.9), (5, 9, 0.1), (2, 8, 0.1), (9, 11, 0.3), (10, 12, 0.4))
    )
    assert found == _spans((2, 8, 0.1), (9, 11, 0.3), (10, 12, 0.4))[:1] + _spans((10, 12, 0.4))


def test_what_only_touches_stays() -> None:
    spans = _spans((0, 3, 0.9), (3, 4, 0.1), (6, 8, 0.1))
    assert entities.without_overlaps(spans) == spans
    assert entities.without_overlaps([]) == []


def test_first_comes_twice_if_it_has_no_characters() -> None:
    spans = _spans((1, 1, 0.9), (1, 1, 0.8), (2, 3, 0.5))
    assert entities.without_overlaps(spans) == [spans[0], *spans]
