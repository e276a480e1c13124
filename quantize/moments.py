"""The mean and covariance of the values that a product reads, gathered batch by batch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Rows that are multiplied together: one product of many rows is faster than many of a few.
_TOGETHER = 512


class Moments:
    """Of values with a number of channels; rows of all batches count alike."""

    def __init__(self, channels: int) -> None:
        """Start with no rows."""
        self.rows = 0
        self._sum = np.zeros(channels)
        self._products = np.zeros((channels, channels), dtype=np.float32)
        self._waiting: list[NDArray[np.float32]] = []

    def add(self, values: NDArray[np.float32]) -> None:
        """Take the values of a batch, float32 (..., channels)."""
        self._waiting.append(values.reshape(-1, values.shape[-1]))
        if sum(len(rows) for rows in self._waiting) >= _TOGETHER:
            self._multiply()

    def mean(self) -> NDArray[np.float32]:
        """Return the mean of each channel, float32 (channels,)."""
        self._multiply()
        return (self._sum / max(self.rows, 1)).astype(np.float32)

    def covariance(self) -> NDArray[np.float64]:
        """Return the mean product of two channels about their means, float64 (channels, channels).

        It is computed from products about zero, in FP32: far smaller ones, relative to the squares
        of the means, are lost.
        """
        self._multiply()
        count = max(self.rows, 1)
        mean = self._sum / count
        return self._products / count - np.outer(mean, mean)

    def _multiply(self) -> None:
        if not self._waiting:
            return
        rows = np.concatenate(self._waiting)
        self._waiting.clear()
        self.rows += len(rows)
        self._sum += rows.sum(axis=0, dtype=np.float64)
        self._products += rows.T @ rows
