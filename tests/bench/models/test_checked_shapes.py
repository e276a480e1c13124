from __future__ import annotations

import pytest

from distilroberta.bench.harness.workload import Shape
from distilroberta.bench.models.checked_shapes import checked_shapes

SHAPES = [Shape(1, 16), Shape(1, 512), Shape(8, 32), Shape(1, 64)]


@pytest.mark.parametrize(
    ("task", "labels"),
    [
        ("fill-mask", None),
        ("text-classification", 8),
        ("text-classification", None),
        ("token-classification", 5),
    ],
)
def test_answers_are_compared_on_what_is_timed(task: str, labels: int | None) -> None:
    assert checked_shapes(task, labels, SHAPES) == SHAPES


def test_few_labels_are_compared_over_eight_texts_with_as_many_tokens_together() -> None:
    found = checked_shapes("text-classification", 2, SHAPES)
    assert found == [Shape(8, 16), Shape(8, 64), Shape(8, 32)]


def test_more_texts_than_eight_stay_as_they_are() -> None:
    assert checked_shapes("text-classification", 2, [Shape(32, 128)]) == [Shape(32, 128)]
