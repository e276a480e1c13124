"""Probabilities are those of scipy, for logits of any size."""

from __future__ import annotations

import warnings

import numpy as np
import scipy.special

from distilroberta.runtime.tasks.scores import sigmoid, softmax

LARGEST = float(np.finfo(np.float32).max)
LOGITS = np.array(
    [0, -0.0, 1e-30, 1, -1, 5.5, -5.5, 20, -20, 88, -88, 89, -89, 1e4, -1e4, LARGEST, -LARGEST],
    dtype=np.float32,
)


def test_sigmoid_does_not_overflow() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = sigmoid(LOGITS)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, scipy.special.expit(LOGITS), rtol=0, atol=1e-7)


def test_softmax_does_not_overflow() -> None:
    rows = np.stack([LOGITS[:-2], LOGITS[:-2][::-1]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = softmax(rows)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, scipy.special.softmax(rows, axis=-1), rtol=0, atol=1e-7)
