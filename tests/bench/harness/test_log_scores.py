from __future__ import annotations

import numpy as np
from scipy.special import softmax

from distilroberta.bench.harness.log_scores import logits


def test_the_softmax_of_what_comes_back_is_what_went_in() -> None:
    scores = softmax(np.random.default_rng(0).standard_normal((3, 7)), axis=1)
    found = logits(scores)
    assert found.dtype == np.float32
    np.testing.assert_allclose(softmax(found, axis=1), scores, rtol=1e-5)


def test_a_score_of_nothing_is_finite_and_the_lowest() -> None:
    found = logits([[0.0, 1e-30, 1.0]])
    assert np.isfinite(found).all()
    assert found[0, 0] < found[0, 1] < found[0, 2]
