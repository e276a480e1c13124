"""Rows are packed by length: each once, no batch too large, no row padded for long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distilroberta.runtime.tasks.packing import MOST_PADDING, TOKENS, pack

LENGTHS = st.lists(st.integers(min_value=2, max_value=512), max_size=200)


@given(LENGTHS, st.none() | st.integers(min_value=1, max_value=20))
def test_every_row_is_in_one_batch_longest_first(lengths: list[int], most: int | None) -> None:
    batches = pack(lengths, most)
    flat = [index for batch in batches for index in batch]
    assert sorted(flat) == list(range(len(lengths)))
    ordered = [lengths[index] for index in flat]
    assert ordered == sorted(lengths, reverse=True)
    assert all(batches)


@given(LENGTHS)
def test_no_batch_holds_more_tokens_or_padding_than_it_may(lengths: list[int]) -> None:
    for batch in pack(lengths):
        longest = lengths[batch[0]]
        assert len(batch) == 1 or longest * len(batch) <= TOKENS
        assert all(longest - lengths[index] <= MOST_PADDING for index in batch)


@given(LENGTHS, st.integers(min_value=1, max_value=20))
def test_given_size_is_what_a_batch_has(lengths: list[int], most: int) -> None:
    batches = pack(lengths, most)
    assert all(len(batch) == most for batch in batches[:-1])
    assert len(batches) == -(-len(lengths) // most)


def test_rows_of_equal_length_keep_their_order() -> None:
    assert pack([5] * 6, 4) == [[0, 1, 2, 3], [4, 5]]


@pytest.mark.parametrize(
    ("lengths", "batches"),
    [
        ([], []),
        ([600], [[0]]),
        ([128, 128, 128, 128], [[0, 1], [2, 3]]),
        ([10, 200], [[1], [0]]),
        ([20, 60, 30], [[1], [2, 0]]),
    ],
)
def test_what_goes_together(lengths: list[int], batches: list[list[int]]) -> None:
    assert pack(lengths) == batches
