"""The bias that takes back what rounding a weight does to the mean."""

from __future__ import annotations

import numpy as np
import pytest

from distilroberta.quantize.bias_correction import corrected_bias


def test_product_of_the_mean_stays_as_it_was() -> None:
    random = np.random.default_rng(0)
    weight, other = random.normal(size=(2, 6, 4)).astype(np.float32)
    mean, new_mean = random.normal(size=(2, 6)).astype(np.float32)
    bias = random.normal(size=4).astype(np.float32)
    corrected = corrected_bias(bias, mean, weight, new_mean, other)
    assert corrected.dtype == np.float32
    assert new_mean @ other + corrected == pytest.approx(mean @ weight + bias, abs=1e-6)


def test_error_of_values_far_from_zero_is_that_about_their_mean() -> None:
    random = np.random.default_rng(0)
    weight = random.normal(size=(32, 16)).astype(np.float32)
    rounded = np.rint(weight * 8) / np.float32(8)
    values = (random.normal(size=(500, 32)) + 20 * random.normal(size=32)).astype(np.float32)
    mean = values.mean(axis=0)
    wanted = values @ weight
    bias = corrected_bias(np.zeros(16, np.float32), mean, weight, mean, rounded)
    left = np.square(values @ rounded + bias - wanted).mean()
    assert left == pytest.approx(np.square((values - mean) @ (rounded - weight)).mean(), rel=1e-3)
    assert left < np.square(values @ rounded - wanted).mean() / 50


def test_equal_products_keep_the_bias() -> None:
    weight, bias = np.ones((3, 2), np.float32), np.array([1, 2], np.float32)
    mean = np.array([1, 2, 3], np.float32)
    assert np.array_equal(corrected_bias(bias, mean, weight, mean, weight), bias)
