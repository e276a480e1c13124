"""Spans are ranked as transformers ranks them, zeros included."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers.pipelines.question_answering import decode_spans, select_starts_ends

from distilroberta.runtime.tasks import answer_spans


@given(
    st.integers(6, 40),
    st.integers(1, 12),
    st.integers(0, 2),
    st.integers(1, 60),
    st.integers(1, 50),
    st.integers(0, 2**32 - 1),
)
def test_rank_as_transformers_does(
    length: int, first: int, extra: int, count: int, most_tokens: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    start, end = random.normal(0, 3, (2, length)).astype(np.float32)
    allowed = np.zeros(length, dtype=bool)
    allowed[[0, *random.integers(0, length, extra)]] = True
    allowed[min(first, length - 2) : -1] = True
    if count == length**2:  # argpartition has no such place; transformers fails
        count += 1
    starts, ends, scores, null = select_starts_ends(
        start[None],
        end[None],
        (~allowed[None]).astype(int),
        np.ones((1, length), dtype=int),
        top_k=count,
        handle_impossible_answer=True,
        max_answer_len=most_tokens,
    )
    spans, found_null = answer_spans.rank(start, end, allowed, count=count, most_tokens=most_tokens)
    assert (spans.starts.tolist(), spans.ends.tolist()) == (starts.tolist(), ends.tolist())
    np.testing.assert_array_equal(spans.scores, scores)
    assert found_null == null


@pytest.mark.parametrize("count", [1, 2, 36])
def test_no_span_has_a_score(count: int) -> None:
    zeros = np.zeros(6, dtype=np.float32)
    starts, ends, scores = decode_spans(zeros, zeros, min(count, 35), 3, np.ones((1, 6)))
    spans = answer_spans.best_spans(zeros, zeros, min(count, 35), 3)
    assert (spans.starts.tolist(), spans.ends.tolist()) == (starts.tolist(), ends.tolist())
    assert not scores.any()
    assert not answer_spans.best_spans(zeros, zeros, count, 3).scores.any()


def test_as_many_spans_as_there_are_pairs() -> None:
    # argpartition has no such place, and transformers fails.
    ones = np.ones(3, dtype=np.float32)
    spans = answer_spans.best_spans(ones, ones, 9, 3)
    assert len(spans.scores) == 9
    assert np.count_nonzero(spans.scores) == 6
