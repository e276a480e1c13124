"""Smoothing changes what is quantized and nothing else."""

from __future__ import annotations

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from distilroberta.quantize.smoothing import STRENGTH, ChannelRange, Smoothing, smooth

Values = NDArray[np.float32]

LIMIT = 100.0

channels = strategies.integers(1, 6)
numbers = strategies.floats(-1e3, 1e3, width=32, allow_subnormal=False)


def observed(values: Values) -> ChannelRange:
    seen = ChannelRange.nothing()
    seen.add(values)
    return seen


def smoothing_of(values: Values, weight: Values) -> Smoothing:
    return smooth(observed(values), np.abs(weight).max(axis=1), LIMIT)


@strategies.composite
def products(draw: strategies.DrawFn) -> tuple[Values, Values, Values]:
    """Values (rows, channels), a weight (channels, out) and a bias (out,)."""
    width, out = draw(channels), draw(channels)
    shapes = ((draw(channels), width), (width, out), (out,))
    values, weight, bias = (
        draw(arrays.arrays(np.float32, shape, elements=numbers | strategies.just(0.0)))
        for shape in shapes
    )
    return values, weight, bias


def test_range_is_that_of_every_channel_over_all_batches() -> None:
    random = np.random.default_rng(0)
    batches = [random.normal(size=(batch, 5, 3)).astype(np.float32) for batch in (1, 4, 2)]
    seen = ChannelRange.nothing()
    for batch in batches:
        seen.add(batch)
    every = np.concatenate([batch.reshape(-1, 3) for batch in batches])
    assert np.array_equal(seen.low, every.min(axis=0))
    assert np.array_equal(seen.high, every.max(axis=0))
    assert seen.low.dtype == seen.high.dtype == np.float32


@pytest.mark.parametrize("shape", [(0, 3), (2, 0, 3)])
def test_batch_without_rows_changes_no_range(shape: tuple[int, ...]) -> None:
    values = np.array([[1, -2, 3]], np.float32)
    seen = observed(values)
    seen.add(np.empty(shape, np.float32))
    assert np.array_equal(seen.low, values[0])
    assert np.array_equal(seen.high, values[0])


@hypothesis.settings(max_examples=200, deadline=None, derandomize=True)
@hypothesis.given(case=products())
def test_smoothed_product_is_the_product(case: tuple[Values, Values, Values]) -> None:
    """The identity of the module's first lines, in FP64 as far as FP32 factors allow."""
    values, weight, bias = case
    found = smoothing_of(values, weight)
    shift, divisor = found.shift.astype(np.float64), found.divisor.astype(np.float64)
    smooth_values = (values - shift) / divisor
    exact = values.astype(np.float64) @ weight + bias
    product = smooth_values @ (divisor[:, None] * weight) + (shift @ weight + bias)
    largest = np.abs(values).max() * np.abs(weight).max() * len(weight) + np.abs(bias).max()
    np.testing.assert_allclose(product, exact, rtol=1e-12, atol=1e-13 * largest)
    # And with what is stored: each factor and each bias is once rounded to FP32.
    stored = smooth_values @ found.weight(weight).astype(np.float64) + found.bias(weight, bias)
    np.testing.assert_allclose(stored, exact, rtol=0, atol=1e-6 * largest + 1e-30)


@hypothesis.settings(max_examples=200, deadline=None, derandomize=True)
@hypothesis.given(case=products())
def test_what_was_seen_lies_within_the_limit(case: tuple[Values, Values, Values]) -> None:
    values, weight, _ = case
    found = smoothing_of(values, weight)
    assert found.shift.dtype == found.divisor.dtype == np.float32
    assert found.shift.shape == found.divisor.shape == (values.shape[1],)
    assert np.isfinite(found.divisor).all()
    assert (found.divisor > 0).all()
    reached = np.abs((values - found.shift.astype(np.float64)) / found.divisor).max()
    assert reached <= LIMIT * 1.0001


def test_largest_value_reaches_the_limit() -> None:
    random = np.random.default_rng(0)
    values = (random.normal(size=(50, 8)) * 10.0 ** np.arange(-2, 6)).astype(np.float32)
    weight = random.normal(size=(8, 3)).astype(np.float32)
    found = smoothing_of(values, weight)
    reached = np.abs((values - found.shift) / found.divisor).max(axis=0)
    assert reached.max() == pytest.approx(LIMIT, rel=1e-5)
    # Channels that were a million times apart are much less so.
    assert reached.max() / reached.min() < 100


def test_middle_of_a_range_becomes_zero() -> None:
    values = np.array([[-1, 4, 7], [3, 6, 7]], np.float32)
    found = smoothing_of(values, np.ones((3, 2), np.float32))
    assert found.shift.tolist() == [1, 5, 7]


def test_difficulty_is_shared_as_in_the_paper() -> None:
    """SmoothQuant, equation 4: max|x|^a / max|w|^(1 - a), up to one factor for all channels."""
    reach = np.array([0.5, 2, 30], np.float32)
    largest = np.array([0.1, 4, 0.7], np.float32)
    found = smooth(ChannelRange(-reach, reach), largest, LIMIT).divisor
    wanted = reach.astype(np.float64) ** STRENGTH / largest.astype(np.float64) ** (1 - STRENGTH)
    np.testing.assert_allclose(found / found[0], wanted / wanted[0], rtol=1e-5)


@pytest.mark.parametrize("level", [0.0, -3.0, 1e4])
def test_channel_that_never_changes_does_no_harm(level: float) -> None:
    """Its values are all in its shift; nothing is divided by zero, and others keep their codes."""
    random = np.random.default_rng(0)
    values = random.normal(size=(20, 4)).astype(np.float32)
    weight = random.normal(size=(4, 3)).astype(np.float32)
    values[:, 1] = level
    found = smoothing_of(values, weight)
    reached = np.abs((values - found.shift) / found.divisor).max(axis=0)
    assert found.shift[1] == level
    assert reached[1] == 0
    assert (reached[[0, 2, 3]] > LIMIT / 10).all()


def test_channel_that_no_weight_reads_is_finite() -> None:
    random = np.random.default_rng(0)
    values = random.normal(size=(20, 4)).astype(np.float32)
    weight = random.normal(size=(4, 3)).astype(np.float32)
    weight[2] = 0
    found = smoothing_of(values, weight)
    assert np.isfinite(found.divisor).all()
    assert np.isfinite(found.weight(weight)).all()
