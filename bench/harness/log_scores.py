"""Scores of a softmax as logits less a constant, which is how answers are compared."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

# A score of 0 stands for a probability too small for FP32; its logit is some number below this.
_SMALLEST_SCORE = 1e-38


def logits(scores: ArrayLike) -> NDArray[np.float32]:
    """Return the logarithm of scores, float32, of the same shape."""
    return np.log(np.maximum(scores, _SMALLEST_SCORE)).astype(np.float32)
