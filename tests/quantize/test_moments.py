"""The mean and covariance of values that come in batches, against NumPy's of all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies
from numpy.typing import NDArray

from distilroberta.quantize import moments
from distilroberta.quantize.moments import Moments
from distilroberta.quantize.observe import observe

Values = NDArray[np.float32]
CHANNELS = 7
# What FP32 rounds of a sum of products, as a share of the sum.
FP32_SUM = 1e-5


def values_of(rows: int, seed: int = 0) -> Values:
    """Channels that go together, about other means."""
    random = np.random.default_rng([seed, rows])
    values = random.normal(size=(rows, CHANNELS)) @ random.normal(size=(CHANNELS, CHANNELS))
    return (values + random.uniform(-3, 3, size=CHANNELS)).astype(np.float32)


def of(batches: list[Values]) -> Moments:
    gathered = Moments(batches[0].shape[-1])
    for batch in batches:
        gathered.add(batch)
    return gathered


def assert_moments_of(gathered: Moments, values: Values) -> None:
    exact = values.reshape(-1, values.shape[-1]).astype(np.float64)
    power = np.sqrt(np.square(exact).mean(axis=0))
    mean, covariance = gathered.mean(), gathered.covariance()
    assert (mean.dtype, covariance.dtype) == (np.float32, np.float64)
    assert gathered.rows == len(exact)
    assert (np.abs(mean - exact.mean(axis=0)) <= 1e-6 * power).all()
    wanted = np.cov(exact.T, bias=True).reshape(covariance.shape)
    assert (np.abs(covariance - wanted) <= FP32_SUM * np.outer(power, power)).all()


@hypothesis.settings(max_examples=60, deadline=None, derandomize=True)
@hypothesis.given(
    sizes=strategies.lists(
        strategies.sampled_from([1, 2, 3, 17, 128, 511, 512, 513, 1025]), min_size=1, max_size=8
    ),
    seed=strategies.integers(0, 2**32 - 1),
)
def test_moments_are_those_of_all_rows(sizes: list[int], seed: int) -> None:
    """Of batches that end before, at and after what is multiplied together."""
    values = values_of(sum(sizes), seed)
    assert_moments_of(of(np.split(values, np.cumsum(sizes)[:-1])), values)


def test_covariance_of_channels_far_from_zero() -> None:
    """Which is lost in FP32 where products are summed about zero."""
    values = values_of(2000) + np.float32(1e4)
    exact = np.cov(values.T.astype(np.float64), bias=True)
    found = of(np.array_split(values, 9)).covariance()
    assert np.abs(found - exact).max() < 1e-4 * np.abs(exact).max()


def test_axes_before_the_channels_are_rows() -> None:
    values = values_of(60)
    gathered = of([values[:24].reshape(2, 12, CHANNELS), values[24:].reshape(3, 4, 3, CHANNELS)])
    assert_moments_of(gathered, values)


def test_rows_count_alike_whatever_their_batch() -> None:
    batches = [np.zeros((1, 2), np.float32), np.full((3, 2), 4, np.float32)]
    assert of(batches).mean().tolist() == [3, 3]
    assert of(batches).covariance().tolist() == [[3, 3], [3, 3]]


@pytest.mark.parametrize("rows", [5, moments._TOGETHER + 5])
def test_moments_can_be_asked_for_in_between(rows: int) -> None:
    values = values_of(3 * rows)
    gathered = Moments(CHANNELS)
    for end in (rows, 2 * rows, 3 * rows):
        gathered.add(values[end - rows : end])
        assert_moments_of(gathered, values[:end])
        assert_moments_of(gathered, values[:end])


def test_means_of_many_values_far_from_zero_are_exact() -> None:
    """An FP32 sum of as many would be off in the third digit."""
    values = np.full((40_000, 1), 1000.1, np.float32)
    assert of(list(np.split(values, 100))).mean()[0] == values[0, 0]


def test_without_rows_there_are_zeros() -> None:
    gathered = Moments(3)
    assert gathered.rows == 0
    assert gathered.mean().tolist() == [0, 0, 0]
    assert not gathered.covariance().any()
    gathered.add(np.zeros((0, 3), np.float32))
    assert gathered.rows == 0
    assert not gathered.covariance().any()


def test_batch_is_not_changed() -> None:
    values = values_of(20)
    before = values.copy()
    gathered = of([values])
    gathered.covariance()
    assert np.array_equal(values, before)


def test_values_wait_while_a_graph_is_run_on_the_next_batch(
    wide_classifier: Any, calibration: Callable[..., Any]
) -> None:
    """What onnxruntime returned for a batch does not change with the next one of its length."""
    model = wide_classifier.graphs.standard
    name = next(node.output[0] for node in model.graph.node if node.op_type == "LayerNormalization")
    lengths = 12
    feeds = [
        {key: value[:, :lengths] for key, value in feed.items()}
        for feed in calibration(wide_classifier, 10)
        if feed["input_ids"].shape[1] >= lengths
    ]
    assert len(feeds) > 2
    gathered, copies = Moments(128), []
    for found in observe(model, [name], feeds):
        gathered.add(found[name])
        copies.append(found[name].copy())
    assert_moments_of(gathered, np.concatenate(copies))
