"""Rounding by GPTQ against its definition, written out one number at a time."""

from __future__ import annotations

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from distilroberta.quantize import gptq
from distilroberta.quantize.nbits import Blocks

Matrix = NDArray[np.float32]
Hessian = NDArray[np.float64]

seeds = strategies.integers(0, 2**32 - 1)


def matrix_of(rows: int, columns: int, seed: int = 0) -> Matrix:
    random = np.random.default_rng([seed, rows, columns])
    return random.normal(size=(rows, columns)).astype(np.float32)


def hessian_of(columns: int, seed: int = 0) -> Hessian:
    """The second moments of values that go together, each column of another size."""
    random = np.random.default_rng([seed, columns])
    common = random.normal(size=(4 * columns, max(columns // 4, 1)))
    values = common @ random.normal(size=(common.shape[1], columns))
    values += 0.3 * random.normal(size=values.shape)
    values *= random.uniform(0.2, 3, size=columns)
    return gptq.damped(values.T @ values / len(values), 0.01)


def best(wanted: float, scale: float, zero: float) -> int:
    """The code of 0..15 whose value is the nearest to a number."""
    return min(range(16), key=lambda code: abs((code - zero) * scale - wanted))


def by_definition(matrix: Matrix, hessian: Hessian, block: int) -> Blocks:
    """GPTQ by least squares, in float64, without a factor of the Hessian.

    Of the columns that are not rounded yet, each time those real numbers are found that bring the
    product nearest to what it was; the next column is rounded from its own.
    """
    rows, columns = matrix.shape
    order = sorted(range(columns), key=lambda column: -hessian[column, column])
    codes = np.zeros((rows, columns), dtype=np.uint8)
    scales = np.zeros((rows, columns // block))
    zeros = np.zeros(scales.shape)
    for row in range(rows):
        weight = [float(value) for value in matrix[row]]
        for index in range(columns // block):
            held = [0.0, *weight[index * block : (index + 1) * block]]
            scales[row, index] = (max(held) - min(held)) / 15 or 1.0
            zeros[row, index] = round(-min(held) / scales[row, index])
        errors: list[float] = []
        for place, column in enumerate(order):
            wanted, done, left = weight[column], order[:place], order[place:]
            if done:
                asked = hessian[np.ix_(left, done)] @ np.array(errors)
                wanted += np.linalg.solve(hessian[np.ix_(left, left)], asked)[0]
            scale, zero = scales[row, column // block], zeros[row, column // block]
            codes[row, column] = best(wanted, scale, zero)
            errors.append(weight[column] - (int(codes[row, column]) - zero) * scale)
    shape = (rows, columns // block, block)
    return Blocks(codes.reshape(shape), scales.astype(np.float32), zeros.astype(np.uint8), 4)


def assert_same(found: Blocks, wanted: Blocks) -> None:
    assert found.zero_points is not None
    assert wanted.zero_points is not None
    assert found.bits == wanted.bits == 4
    np.testing.assert_allclose(found.scales, wanted.scales, rtol=1e-6)
    assert np.array_equal(found.zero_points, wanted.zero_points)
    assert np.array_equal(found.codes, wanted.codes)


def loss(matrix: Matrix, rounded: Blocks, hessian: Hessian) -> float:
    """The squared error of the products, tr(E H E^T)."""
    error = matrix.astype(np.float64) - rounded.values()
    return float(np.trace(error @ hessian @ error.T))


def nearest(matrix: Matrix, block: int) -> Blocks:
    """Every number rounded to the nearest value of its block, one at a time."""
    return by_definition(matrix, np.eye(matrix.shape[1]), block)


@pytest.mark.parametrize(
    ("rows", "columns", "block"),
    [(1, 16, 16), (6, 32, 16), (5, 48, 16), (4, 64, 32), (3, 96, 32), (3, 144, 16), (2, 128, 128)],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_codes_are_those_of_the_definition(rows: int, columns: int, block: int, seed: int) -> None:
    matrix, hessian = matrix_of(rows, columns, seed), hessian_of(columns, seed)
    found = gptq.quantize(matrix, hessian, block)
    assert found.codes.shape == (rows, columns // block, block)
    assert found.codes.dtype == np.uint8
    assert found.scales.dtype == np.float32
    assert found.zero_points is not None
    assert found.zero_points.dtype == np.uint8
    assert_same(found, by_definition(matrix, hessian, block))
    assert not np.array_equal(found.codes, nearest(matrix, block).codes)


@pytest.mark.parametrize("columns", [1, 2, 63, 64, 65, 130])
def test_feedback_is_the_unit_upper_factor_of_the_hessian(columns: int) -> None:
    """H = F D F^T, as the module's formula has it."""
    hessian = hessian_of(columns)
    feedback = gptq._feedback(hessian).astype(np.float64)
    assert np.array_equal(np.diag(feedback), np.ones(columns))
    assert not np.tril(feedback, -1).any()
    inverse = np.linalg.inv(feedback)
    middle = inverse @ hessian @ inverse.T
    outside = middle - np.diag(np.diag(middle))
    assert np.abs(outside).max() < 1e-4 * np.diag(hessian).max()
    assert (np.diag(middle) > 0).all()


@pytest.mark.parametrize("size", [1, 2, 63, 64, 65, 127, 128, 129, 200])
def test_cholesky_in_panels_is_that_of_numpy(size: int) -> None:
    hessian = hessian_of(size)
    found = gptq._cholesky(hessian)
    np.testing.assert_allclose(found, np.linalg.cholesky(hessian), rtol=1e-9, atol=1e-9)
    assert not np.triu(found, 1).any()


@hypothesis.settings(max_examples=40, deadline=None, derandomize=True)
@hypothesis.given(seed=seeds, columns=strategies.sampled_from([32, 64, 96, 160]))
def test_products_of_values_that_go_together_lose_less(seed: int, columns: int) -> None:
    matrix, hessian = matrix_of(16, columns, seed), hessian_of(columns, seed)
    rounded = gptq.quantize(matrix, np.eye(columns), 16)
    assert loss(matrix, gptq.quantize(matrix, hessian, 16), hessian) < 0.8 * loss(
        matrix, rounded, hessian
    )


@hypothesis.settings(max_examples=60, deadline=None, derandomize=True)
@hypothesis.given(
    matrix=arrays.arrays(
        np.float32,
        strategies.tuples(strategies.integers(1, 5), strategies.sampled_from([16, 32, 48])),
        elements=strategies.floats(-100, 100, width=32, allow_subnormal=False)
        | strategies.just(0.0),
    ),
    seed=seeds,
)
def test_codes_and_zero_points_have_4_bits_whatever_the_weights(matrix: Matrix, seed: int) -> None:
    rounded = gptq.quantize(matrix, hessian_of(matrix.shape[1], seed), 16)
    assert rounded.zero_points is not None
    assert rounded.codes.max() <= 15
    assert rounded.zero_points.max() <= 15
    assert (rounded.scales > 0).all()
    assert np.isfinite(rounded.values()).all()


@hypothesis.settings(max_examples=100, deadline=None, derandomize=True)
@hypothesis.given(
    matrix=arrays.arrays(
        np.float32,
        (3, 32),
        elements=strategies.floats(-100, 100, width=32, allow_subnormal=False)
        | strategies.just(0.0),
    )
)
def test_columns_that_do_not_go_together_are_rounded_to_the_nearest(matrix: Matrix) -> None:
    """Half a step at most from the weight, at the ends of the range too; zero is exact."""
    rounded = gptq.quantize(matrix, np.eye(32), 16)
    values = rounded.values()
    steps = np.repeat(rounded.scales, 16, axis=1)
    normal = steps >= np.finfo(np.float32).tiny
    assert (np.abs(values - matrix) <= 0.5001 * steps)[normal].all()
    assert not values[matrix == 0].any()


@pytest.mark.parametrize("seed", range(5))
def test_identity_rounds_every_number_to_the_nearest(seed: int) -> None:
    matrix = matrix_of(8, 96, seed)
    assert_same(gptq.quantize(matrix, 3 * np.eye(96), 32), nearest(matrix, 32))


@pytest.mark.parametrize(
    ("low", "high", "zero"), [(0.5, 3, 0), (-3, -0.5, 15), (0, 0, 0), (-1, 2, 5), (-2, 1, 10)]
)
def test_range_holds_zero(low: float, high: float, zero: int) -> None:
    matrix = np.linspace(low, high, 16, dtype=np.float32)[None]
    rounded = gptq.quantize(matrix, np.eye(16), 16)
    assert rounded.zero_points is not None
    assert rounded.zero_points.tolist() == [[zero]]
    largest, smallest = max(high, 0), min(low, 0)
    assert rounded.scales[0, 0] == pytest.approx((largest - smallest) / 15 or 1)
    assert (rounded.codes[0, 0, 0], rounded.codes[0, 0, -1]) == (
        zero if low == 0 else best(low, float(rounded.scales[0, 0]), zero),
        best(high, float(rounded.scales[0, 0]), zero),
    )


def test_block_has_a_range_of_its_own() -> None:
    matrix = np.zeros((2, 32), np.float32)
    matrix[0, 3], matrix[0, 20], matrix[1, 31] = 15, -30, 7.5
    rounded = gptq.quantize(matrix, np.eye(32), 16)
    assert rounded.zero_points is not None
    assert rounded.scales.tolist() == [[1, 2], [1, 0.5]]
    assert rounded.zero_points.tolist() == [[0, 15], [0, 0]]
    assert np.array_equal(rounded.values(), matrix)


def test_order_of_the_columns_does_not_matter_within_their_blocks() -> None:
    """Columns are rounded in the order of their diagonal, wherever they stand."""
    matrix, hessian = matrix_of(6, 48), hessian_of(48)
    moved = np.concatenate(
        [first + np.random.default_rng(first).permutation(16) for first in (0, 16, 32)]
    )
    one = gptq.quantize(matrix, hessian, 16)
    other = gptq.quantize(matrix[:, moved], hessian[np.ix_(moved, moved)], 16)
    assert np.array_equal(other.codes.reshape(6, 48), one.codes.reshape(6, 48)[:, moved])
    assert np.array_equal(other.scales, one.scales)


def test_column_of_the_largest_values_is_rounded_first() -> None:
    """So it is rounded to its nearest value, and the others make up for it."""
    matrix, hessian = matrix_of(20, 32), hessian_of(32)
    first, last = int(np.argmax(np.diag(hessian))), int(np.argmin(np.diag(hessian)))
    found = gptq.quantize(matrix, hessian, 16).codes.reshape(20, 32)
    wanted = nearest(matrix, 16).codes.reshape(20, 32)
    assert np.array_equal(found[:, first], wanted[:, first])
    assert not np.array_equal(found[:, last], wanted[:, last])


def test_columns_without_any_values_take_no_errors_of_others() -> None:
    matrix, seen = matrix_of(8, 48), hessian_of(48)
    silent = [0, 7, 16, 40, 47]
    seen[silent] = 0
    seen[:, silent] = 0
    hessian = gptq.damped(seen, 0.1)
    found = gptq.quantize(matrix, hessian, 16)
    assert_same(found, by_definition(matrix, hessian, 16))
    wanted = nearest(matrix, 16).codes.reshape(8, 48)
    assert np.array_equal(found.codes.reshape(8, 48)[:, silent], wanted[:, silent])


def test_rows_are_rounded_apart_from_each_other() -> None:
    """Across the end of what is in work at once too."""
    end = gptq._ROWS
    matrix, hessian = matrix_of(end + 70, 32), hessian_of(32)
    together = gptq.quantize(matrix, hessian, 16)
    assert together.zero_points is not None
    for rows in (slice(0, 3), slice(end - 3, end + 3), slice(end + 67, end + 70)):
        alone = gptq.quantize(matrix[rows], hessian, 16)
        assert_same(
            Blocks(together.codes[rows], together.scales[rows], together.zero_points[rows], 4),
            alone,
        )


def test_weights_and_hessian_are_not_changed() -> None:
    matrix, hessian = matrix_of(4, 80), hessian_of(80)
    before = matrix.copy(), hessian.copy()
    gptq.quantize(matrix, hessian, 16)
    assert np.array_equal(matrix, before[0])
    assert np.array_equal(hessian, before[1])


def test_noise_is_a_share_of_the_mean_power() -> None:
    hessian = np.array([[1.0, 0.5], [0.5, 3.0]])
    assert gptq.damped(hessian, 0.25).tolist() == [[1.5, 0.5], [0.5, 3.5]]
    assert hessian.tolist() == [[1, 0.5], [0.5, 3]]


def test_values_that_always_go_together_have_a_definite_hessian() -> None:
    values = np.random.default_rng(0).normal(size=(50, 1)) * np.ones((1, 8))
    assert np.linalg.eigvalsh(gptq.damped(values.T @ values, 0.01)).min() > 0


def test_where_nothing_was_seen_columns_count_alike() -> None:
    hessian = gptq.damped(np.zeros((16, 16)), 0.1)
    assert np.array_equal(hessian, np.eye(16))
    matrix = matrix_of(3, 16)
    assert_same(gptq.quantize(matrix, hessian, 16), nearest(matrix, 16))
