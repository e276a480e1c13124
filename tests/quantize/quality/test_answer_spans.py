"""Answers from start and end logits, against every span there is."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from distilroberta.quantize.quality.answer_spans import BEST, LONGEST, Span, answer, best_spans

CONTEXT = "abcdefghij" * 12


def offsets(count: int) -> NDArray[np.int32]:
    """One character a token."""
    return np.stack([np.arange(count), np.arange(1, count + 1)], axis=1).astype(np.int32)


def every_span(start: NDArray[np.float32], end: NDArray[np.float32]) -> tuple[float, int, int]:
    """Return the best span by trying each."""
    return max(
        (float(start[first]) + float(end[last]), first, last + 1)
        for first in range(len(start))
        for last in range(first, min(first + LONGEST, len(end)))
    )


@pytest.mark.parametrize("seed", range(10))
def test_best_span_of_all(seed: int) -> None:
    random = np.random.default_rng(seed)
    start, end = random.normal(size=(2, BEST)).astype(np.float32)
    found = best_spans(start, end, offsets(BEST))
    score, first, last = every_span(start, end)
    assert found[0] == Span(pytest.approx(score), first, last)
    assert [span.score for span in found] == sorted((s.score for s in found), reverse=True)
    assert len(found) == BEST
    assert all(0 < span.end - span.start <= LONGEST for span in found)


def test_no_span_runs_backward_or_too_far() -> None:
    count = 100
    start, end = np.zeros((2, count), np.float32)
    start[50], end[10], end[50 + LONGEST], end[50 + LONGEST - 1] = 9, 9, 8, 3
    assert best_spans(start, end, offsets(count))[0] == Span(12, 50, 50 + LONGEST)


def test_only_the_twenty_best_ends_are_tried() -> None:
    # 20 starts at the back and 20 ends at the front: no pair runs forward.
    count = 2 * BEST
    start = np.arange(count, dtype=np.float32)
    assert best_spans(start, -start, offsets(count)) == []


def test_window_without_context() -> None:
    nothing = np.zeros(0, np.float32)
    assert best_spans(nothing, nothing, offsets(0)) == []
    assert answer("", [], None) == ""
    assert answer("", [], 0.0) == ""


SPANS = [Span(3.0, 0, 2), Span(5.0, 4, 4), Span(4.0, 2, 5)]


@pytest.mark.parametrize(
    ("no_answer", "expected"),
    [
        (None, ""),  # the best is an empty span, as in `run_qa`
        (4.0, "cde"),  # none must be better, not as good
        (4.5, ""),
        (-1.0, "cde"),
    ],
)
def test_no_answer_must_beat_the_best_that_is_one(no_answer: float | None, expected: str) -> None:
    assert answer(CONTEXT, SPANS, no_answer) == expected


def test_first_window_wins_a_tie() -> None:
    assert answer(CONTEXT, [Span(1.0, 0, 1), Span(1.0, 5, 6)], None) == "a"
