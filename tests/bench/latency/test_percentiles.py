from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distilroberta.bench.latency import percentiles

MILLISECONDS = st.floats(min_value=1e-3, max_value=1e5)


@given(st.lists(MILLISECONDS, min_size=100, max_size=300))
def test_they_are_those_of_the_sorted_values(values: list[float]) -> None:
    found = percentiles.of(values)
    ordered = np.sort(values)
    for percent, value in ((50, found.p50), (90, found.p90), (99, found.p99)):
        place = (len(values) - 1) * percent / 100
        below, part = int(place), place % 1
        above = ordered[min(below + 1, len(values) - 1)]
        assert value == pytest.approx(ordered[below] + part * (above - ordered[below]))
    assert found.calls == len(values)


@pytest.mark.parametrize(
    ("count", "p90", "p99"),
    [(1, False, False), (9, False, False), (10, True, False), (99, True, False), (100, True, True)],
)
def test_what_too_few_calls_do_not_tell(count: int, p90: bool, p99: bool) -> None:
    found = percentiles.of([1.0] * count)
    assert found.p50 == 1.0
    assert (found.p90 is not None, found.p99 is not None) == (p90, p99)
