"""Some of many batches: how many, from where, and the longest."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distilroberta.quantize.recipe import Feed
from distilroberta.quantize.spread import spread


def feed(length: int) -> Feed:
    ids = np.zeros((1, length), np.int64)
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}


@given(st.lists(st.integers(1, 9), max_size=60), st.integers(1, 40))
def test_so_many_are_taken_in_their_order_with_the_longest(lengths: list[int], count: int) -> None:
    feeds = [feed(length) for length in lengths]
    found = spread(feeds, count)
    places = [next(i for i, one in enumerate(feeds) if one is taken) for taken in found]
    assert places == sorted(set(places))
    assert len(found) == min(count, len(feeds))
    if feeds:
        assert max(len(one["input_ids"][0]) for one in found) == max(lengths)


@pytest.mark.parametrize("count", [3, 7, 32])
@pytest.mark.parametrize("longest", [0, 50, 99])
def test_distances_are_even(count: int, longest: int) -> None:
    feeds = [feed(2 if place == longest else 1) for place in range(100)]
    found = spread(feeds, count)
    places = [place for place, one in enumerate(feeds) if any(one is taken for taken in found)]
    assert longest in places
    others = [place for place in places if place != longest]
    assert others[0] <= 1
    assert others[-1] >= 98
    # A place is rounded, and one more is stepped over where the longest is.
    steps = np.diff(others)
    assert steps.max() - steps.min() <= 2


def test_batches_are_not_held() -> None:
    class Counted:
        passes = 0

        def __iter__(self) -> Iterator[Feed]:
            self.passes += 1
            return (feed(1) for _ in range(1000))

    counted = Counted()
    assert len(spread(counted, 5)) == 5
    assert counted.passes == 2
