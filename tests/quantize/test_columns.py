"""The columns of a weight in 8 bits: the nearest codes, and never outside their range."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis
import numpy as np
from hypothesis import strategies
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from distilroberta.quantize.columns import quantize_columns

Run = Callable[[Any, dict[str, NDArray[Any]]], Any]
Weight = NDArray[np.float32]

LAYERS = 2

# Weights a model may hold. With subnormal ones the scale itself would lose its precision.
weights = arrays.arrays(
    np.float32,
    arrays.array_shapes(min_dims=2, max_dims=2, max_side=9),
    elements=strategies.floats(-1e4, 1e4, width=32, allow_subnormal=False)
    | strategies.sampled_from([0.0, 1e-6, -1e-6]),
)


@hypothesis.settings(max_examples=200, deadline=None, derandomize=True)
@hypothesis.given(weight=weights)
def test_value_is_at_most_half_a_scale_away(weight: Weight) -> None:
    codes, scales = quantize_columns(weight)
    assert (codes.dtype, scales.dtype) == (np.int8, np.float32)
    assert (codes.shape, scales.shape) == (weight.shape, weight.shape[1:])
    error = np.abs(codes.astype(np.float64) * scales - weight)
    assert (error <= 0.5001 * scales.astype(np.float64)).all()


@hypothesis.settings(max_examples=200, deadline=None, derandomize=True)
@hypothesis.given(weight=weights)
def test_codes_are_symmetric_and_keep_the_sign(weight: Weight) -> None:
    codes, scales = quantize_columns(weight)
    assert codes.min() >= -127
    assert (codes * np.sign(weight) >= 0).all()
    opposite, same_scales = quantize_columns(-weight)
    assert np.array_equal(opposite, -codes)
    assert np.array_equal(same_scales, scales)


@hypothesis.settings(max_examples=200, deadline=None, derandomize=True)
@hypothesis.given(weight=weights)
def test_largest_value_of_a_column_takes_the_whole_range(weight: Weight) -> None:
    codes, _ = quantize_columns(weight)
    largest = np.abs(codes.astype(int)).max(axis=0)
    assert np.array_equal(largest, np.where(np.abs(weight).max(axis=0) > 0, 127, 0))


def test_column_of_zeros_stays_zero_beside_others() -> None:
    codes, scales = quantize_columns(np.float32([[0, 127], [0, -63]]))
    assert codes.tolist() == [[0, 127], [0, -63]]
    assert scales.tolist() == [1, 1]
