from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from distilroberta.bench.errors import BenchError
from distilroberta.bench.harness import ratio_interval
from distilroberta.bench.harness.ratio_interval import Ratio, of, over_cells, verdict, warning

ROUNDS = 9


def rounds(
    random: np.random.Generator, ratio: float, count: int = ROUNDS
) -> tuple[list[float], list[float]]:
    """Two engines on a machine whose speed drifts: shared disturbances, and each its own."""
    machine = np.exp(random.normal(0, 0.3, count))
    above, below = np.exp(random.normal(0, 0.04, (2, count)))
    return list(10 * ratio * machine * above), list(10 * machine * below)


@pytest.fixture
def _fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw less often, where many intervals are computed."""
    monkeypatch.setattr(ratio_interval, "_RESAMPLES", 999)


@pytest.mark.usefixtures("_fewer")
@pytest.mark.parametrize("count", [5, 7, 9, 17])
@pytest.mark.parametrize("true", [1.0, 2.0])
def test_the_interval_holds_the_true_ratio_about_95_times_of_100(true: float, count: int) -> None:
    random = np.random.default_rng(20)
    found = [of(*rounds(random, true, count)) for _ in range(400)]
    share = np.mean([one.low <= true <= one.high for one in found])
    # The interval goes from one of the sorted ratios to another: the true one lies between them as
    # often as so many of the rounds are below it. Two in three shares are within 1.6 points.
    outside = {5: 0, 7: 1, 9: 1, 17: 4}[count]
    expected = 1 - 2 * binom.cdf(outside, count, 0.5)
    assert share == pytest.approx(expected, abs=0.04)
    assert 0.85 < expected < 0.97
    assert np.median([one.estimate for one in found]) == pytest.approx(true, rel=0.01)


@pytest.mark.usefixtures("_fewer")
def test_the_interval_over_cells_holds_the_true_ratio() -> None:
    random = np.random.default_rng(21)
    found = [over_cells([rounds(random, true) for true in (1.5, 2, 8 / 3)]) for _ in range(200)]
    share = np.mean([one.low <= 2 <= one.high for one in found])
    assert 0.91 < share < 0.995


def test_it_is_the_percentile_bootstrap_of_the_median() -> None:
    cells = [rounds(np.random.default_rng(seed), seed + 1) for seed in range(3)]
    logs = np.array([np.log(above) - np.log(below) for above, below in cells])
    draws = np.random.default_rng(5).integers(0, ROUNDS, (20_000, ROUNDS))  # others than scipy's
    drawn = np.median(logs[:, draws], axis=2).mean(axis=0)
    low, high = np.exp(np.percentile(drawn, [2.5, 97.5]))
    found = over_cells(cells)
    assert found.estimate == pytest.approx(np.exp(np.median(logs, axis=1).mean()))
    assert (found.low, found.high) == pytest.approx((low, high), rel=0.003)


def test_a_geometric_mean_of_the_cells() -> None:
    twice, half = ([2.0] * 5, [1.0] * 5), ([1.0] * 5, [2.0] * 5)
    assert over_cells([twice, half]) == Ratio(*[pytest.approx(1)] * 3, 5)
    assert over_cells([twice, twice, half]) == Ratio(*[pytest.approx(2 ** (1 / 3))] * 3, 5)


def test_rounds_that_agree_leave_no_doubt() -> None:
    # Each round is slower than the last one, which both engines meet.
    assert of([2.0, 4.0, 8.0], [1.0, 2.0, 4.0]) == Ratio(*[pytest.approx(2)] * 3, 3)


def test_one_round_says_nothing_but_itself() -> None:
    assert of([3.0], [2.0]) == Ratio(*[pytest.approx(1.5)] * 3, 1)


def test_the_same_rounds_give_the_same_interval() -> None:
    cell = rounds(np.random.default_rng(1), 2)
    assert of(*cell) == of(*cell)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(0.01, 100), st.floats(0.01, 100)), min_size=1, max_size=12))
def test_the_estimate_is_inside_and_the_inverse_is_outside_in(
    pairs: list[tuple[float, float]],
) -> None:
    above, below = zip(*pairs, strict=True)
    found, inverse = of(above, below), of(below, above)
    ratios = [one / other for one, other in pairs]
    assert min(ratios) * 0.999 <= found.low <= found.high <= max(ratios) * 1.001
    assert inverse.estimate == pytest.approx(1 / found.estimate)
    assert (inverse.low, inverse.high) == pytest.approx((1 / found.high, 1 / found.low), rel=0.5)


@pytest.mark.parametrize(
    "cells",
    [
        [],
        [([], [])],
        [([1.0, 2.0], [1.0])],
        [([1.0, 2.0], [1.0, 2.0]), ([1.0], [1.0])],
    ],
)
def test_rounds_that_are_not_paired(cells: list[tuple[list[float], list[float]]]) -> None:
    with pytest.raises(BenchError, match="a ratio needs paired rounds"):
        over_cells(cells)


@pytest.mark.parametrize(
    ("low", "high", "shows"),
    [
        (1.01, 1.2, "faster"),
        (1.0, 1.2, "no difference"),
        (0.9, 1.0, "no difference"),
        (0.8, 0.99, "slower"),
    ],
)
def test_what_an_interval_shows(low: float, high: float, shows: str) -> None:
    assert verdict(Ratio((low + high) / 2, low, high, 5)) == shows
    assert verdict(Ratio((low + high) / 2, low, high, 4)) == "unclear"


def test_engines_of_the_same_speed_show_no_difference() -> None:
    found = [of(*rounds(np.random.default_rng(seed), 1)) for seed in range(40)]
    shown = [verdict(ratio) for ratio in found]
    assert shown.count("no difference") >= 33  # 95 % of them, but for the luck of the draw


def test_what_is_to_be_taken_with_care() -> None:
    assert warning(Ratio(2, 1.9, 2.1, 5)) is None
    assert warning(Ratio(1.1, 1.02, 1.25, 5)) == (
        "the interval is 0.23 wide, the difference it is to show 0.10"
    )
    assert warning(Ratio(2, 2, 2, 1)) == (
        "1 round is too few for an interval of 95 %, which takes 5"
    )
    assert warning(Ratio(2, 2, 2, 4)) == (
        "4 rounds are too few for an interval of 95 %, which takes 5"
    )
