"""The mean and covariance of the values that a product reads, gathered batch by batch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Rows that are multiplied together: one product of many rows is faster than many of a few.
_TOGETHER = 512


class Moments:
    """Of values with a number of channels; rows of all batches count alike.

    They are gathered about the mean of the first rows, since about zero the products of channels
    far from it would drown in FP32 what the covariance is made of.
    """

    def __init__(self, channels: int) -> None:
        """Start with no rows."""
        self.rows = 0
        self._origin: NDArray[np.float32] | None = None
        self._sum = np.zeros(channels)
        self._products = np.zeros((channels, channels), dtype=np.float32)
        self._waiting: list[NDArray[np.float32]] = []

    def add(self, values: NDArray[np.float32]) -> None:
        """Take the values of a batch, float32 (..., channels); they must not change afterwards."""
        self._waiting.append(values.reshape(-1, values.shape[-1]))
        if sum(len(rows) for rows in self._waiting) >= _TOGETHER:
            self._multiply()

    def mean(self) -> NDArray[np.float32]:
        """Return the mean of each channel, float32 (channels,)."""
        self._multiply()
        origin = 0 if self._origin is None else self._origin
        return (origin + self._sum / max(self.rows, 1)).astype(np.float32)

    def covariance(self) -> NDArray[np.float64]:
        """Return the covariance of the channels, float64 (channels, channels)."""
        self._multiply()
        count = max(self.rows, 1)
        mean = self._sum / count
        return self._products / count - np.outer(mean, mean)

    def _multiply(self) -> None:
        if not self._waiting:
            return
        rows = np.concatenate(self._waiting)
        self._waiting.clear()
        if not len(rows):
            return
        if self._origin is None:
            self._origin = rows.mean(axis=0)
        rows = rows - self._origin
        self.rows += len(rows)
        self._sum += rows.sum(axis=0, dtype=np.float64)
        self._products += rows.T @ rows
