"""Scores of a softmax as logits less a constant, which is how answers are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

# A score of 0 stands for a probability too small for FP32; its logit is some number below this.
_SMALLEST_SCORE = 1e-38


def logits(scores: ArrayLike) -> NDArray[np.float32]:
    """Return the logarithm of scores, float32, of the same shape."""
    return np.log(np.maximum(scores, _SMALLEST_SCORE)).astype(np.float32)


def of_candidates(
    answers: Sequence[Sequence[Mapping[str, Any]]], vocabulary: int
) -> NDArray[np.float32]:
    """Return what fill-mask pipelines answer as logits less a constant, float32.

    Args:
        answers: the candidates of each text, each with its `token` and `score`.
        vocabulary: how many tokens there are.

    Returns:
        (texts, vocabulary); a token that is no candidate has the lowest logit.
    """
    found = np.zeros((len(answers), vocabulary))
    for row, candidates in zip(found, answers, strict=True):
        for candidate in candidates:
            row[candidate["token"]] = candidate["score"]
    return logits(found)
