"""A few of many batches: from all over them, and the longest."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from distilroberta.quantize.recipe import Feed


def spread(feeds: Iterable[Feed], count: int) -> list[Feed]:
    """Return so many batches, at even distances, with the longest; all if there are no more.

    A file of texts may be in any order, so that the first ones are of one kind.

    Args:
        feeds: the batches, which are iterated over twice and not held.
        count: how many to take, from 1 up.
    """
    sizes = [max(values.size for values in feed.values()) for feed in feeds]
    chosen = set(range(len(sizes)))
    if len(sizes) > count:
        longest = max(chosen, key=sizes.__getitem__)
        others = sorted(chosen - {longest})
        places = np.linspace(0, len(others) - 1, count - 1)
        chosen = {longest, *(others[round(place)] for place in places)}
    return [feed for place, feed in enumerate(feeds) if place in chosen]
