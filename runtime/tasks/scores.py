"""From logits to probabilities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the softmax over the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True), dtype=np.float32)


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the logistic function of each value."""
    small = np.exp(-np.abs(logits))  # at most 1, so that it can't overflow
    return np.asarray(np.where(logits < 0, small, 1) / (1 + small), dtype=np.float32)
