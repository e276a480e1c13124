"""Labels stand apart, and near what they name."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.isotonic import isotonic_regression

from distilroberta.bench.report.labels import Box, Marked, apart, beside, line_end

POSITIONS = st.lists(st.floats(0, 100), min_size=1, max_size=8)


@given(POSITIONS)
def test_labels_are_moved_as_little_as_possible(wanted: list[float]) -> None:
    gap = 5.0
    found = apart(wanted, gap, -1e6, 1e6)
    order = np.argsort(wanted, kind="stable")
    steps = gap * np.arange(len(wanted))
    expected = isotonic_regression(np.array(wanted)[order] - steps) + steps
    assert np.array(found)[order] == pytest.approx(expected)


@given(POSITIONS)
def test_labels_stay_inside_and_apart(wanted: list[float]) -> None:
    found = sorted(apart(wanted, 10, 10, 95))
    assert found[0] >= 10 - 1e-9
    assert found[-1] <= 95 + 1e-9
    assert all(high - low >= 10 - 1e-9 for low, high in itertools.pairwise(found))


def overlap(one: Box, other: Box) -> bool:
    apart_across = one.right <= other.left or other.right <= one.left
    return not (apart_across or one.top <= other.bottom or other.top <= one.bottom)


def test_labels_of_a_crowd_cover_nothing() -> None:
    marks = [Marked(100.0 + 6 * place, 150.0, 8.0, 60.0, 11.0) for place in range(5)]
    inside = Box(0, 0, 300, 300)
    boxes = beside(marks, inside)
    assert not any(overlap(one, other) for one, other in itertools.combinations(boxes, 2))
    discs = [Box(one.x - 8, one.y - 8, one.x + 8, one.y + 8) for one in marks]
    assert not any(overlap(box, disc) for box in boxes for disc in discs)
    assert all(box.left >= 0 and box.right <= 300 for box in boxes)


def test_discs_without_a_label_are_not_covered() -> None:
    mark, other = Marked(50, 50, 10, 40, 10), Marked(90, 50, 10, 40, 10)
    (box,) = beside([mark], Box(0, 0, 200, 100), [other])
    assert not overlap(box, Box(80, 40, 100, 60))


def test_a_label_alone_stands_at_its_disc() -> None:
    mark = Marked(50, 50, 10, 40, 10)
    (box,) = beside([mark], Box(0, 0, 200, 100))
    assert tuple(box) == pytest.approx((63, 45, 103, 55))
    assert line_end(mark, box) is None


def test_a_label_that_is_far_gets_a_line_to_its_nearest_point() -> None:
    assert line_end(Marked(50, 50, 10, 40, 10), Box(90, 70, 130, 80)) == (90, 70)
    assert line_end(Marked(50, 50, 10, 40, 10), Box(30, 80, 70, 90)) == (50, 80)
