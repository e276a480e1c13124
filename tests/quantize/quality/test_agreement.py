"""Agreement of two sets of logits, with figures worked by hand and by scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special, stats

from distilroberta.quantize.quality.agreement import Agreement, AgreementTally, log_softmax

Logits = NDArray[np.float32]


def agreement(*pairs: tuple[Logits, Logits]) -> Agreement:
    tally = AgreementTally()
    for found, expected in pairs:
        tally.add(found, expected)
    return tally.result()


def logits(*probabilities: float) -> Logits:
    return np.log(np.array([probabilities], dtype=np.float32))


def test_two_rows_by_hand() -> None:
    same = logits(0.5, 0.25, 0.25)
    # KL = 1/2 ln(1/2 / 1/4) + 1/4 ln(1/4 / 1/2) = 1/4 ln 2; two logits differ by ln 2.
    found = agreement((same, same), (logits(0.25, 0.5, 0.25), same))
    assert found.rows == 2
    assert found.same_top == 0.5
    assert found.top_5_overlap is None
    assert found.kl == pytest.approx(math.log(2) / 8, rel=1e-6)
    assert found.largest_difference == pytest.approx(math.log(2), rel=1e-6)


def test_reference_is_the_first_distribution_of_the_divergence() -> None:
    ours, theirs = np.random.default_rng(0).normal(size=(2, 20, 30)).astype(np.float32)
    found = agreement((ours, theirs))
    p, q = (
        special.softmax(theirs.astype(float), axis=1),
        special.softmax(ours.astype(float), axis=1),
    )
    assert found.kl == pytest.approx(stats.entropy(p, q, axis=1).mean(), rel=1e-9)
    assert found.kl != pytest.approx(stats.entropy(q, p, axis=1).mean(), rel=1e-3)
    assert found.largest_difference == np.abs(ours.astype(float) - theirs).max()
    assert found.same_top == (ours.argmax(1) == theirs.argmax(1)).mean()


def test_overlap_of_the_five_highest() -> None:
    ranked = np.arange(8, dtype=np.float32)[None]
    # Highest: 7 6 5 4 3 against 7 6 5 1 0.
    other = np.array([[3.5, 3.6, 0, 1, 2, 5, 6, 7]], np.float32)
    assert agreement((other, ranked)).top_5_overlap == pytest.approx(3 / 5)
    assert agreement((other, ranked), (ranked, ranked)).top_5_overlap == pytest.approx(4 / 5)


def test_rows_may_have_different_lengths() -> None:
    short, long = np.zeros((2, 3), np.float32), np.zeros((1, 9), np.float32)
    found = agreement((short, short), (long, long))
    assert found == Agreement(3, 1.0, 1.0, 0.0, 0.0)


def test_batches_do_not_matter() -> None:
    ours, theirs = np.random.default_rng(1).normal(size=(2, 12, 40)).astype(np.float32)
    whole = agreement((ours, theirs))
    parts = agreement(*zip(np.split(ours, 4), np.split(theirs, 4), strict=True))
    assert (parts.rows, parts.same_top) == (whole.rows, whole.same_top)
    assert parts.kl == pytest.approx(whole.kl, rel=1e-12)
    assert parts.top_5_overlap == pytest.approx(whole.top_5_overlap)


def test_regression_has_no_distribution() -> None:
    found = agreement((np.array([[1.0], [2.0]], np.float32), np.array([[1.5], [2.0]], np.float32)))
    assert found == Agreement(2, None, None, None, 0.5)


def test_large_logits_do_not_overflow() -> None:
    big = np.array([[1e4, 0.0, -1e4]])
    assert np.array_equal(log_softmax(big), [[0, -1e4, -2e4]])
    assert agreement((big.astype(np.float32), big.astype(np.float32))).kl == 0
