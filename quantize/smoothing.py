"""Moving the outliers of activations into the weights that follow.

A few channels of a trained model are far larger than the others, or far from zero, and one scale
for all of them leaves the others few codes. The values that a product reads can be moved and scaled
channel by channel before they are quantized, and the product corrected exactly:

    x @ W  =  ((x - shift) / smooth) @ (smooth[:, None] * W)  +  shift @ W

`smooth` shares the difficulty between activations and weights as SmoothQuant does (Xiao et al.
2023, https://arxiv.org/abs/2211.10438, equation 4); `shift` is the middle of a channel's range, as
in Outlier Suppression+ (Wei et al. 2023, https://arxiv.org/abs/2304.09145, equation 3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]

# How much of the difficulty goes into the weights, from 0 to 1. On the trained models this was
# developed with, 0.7 to 0.9 were best and hard to tell apart.
STRENGTH = 0.8
_SMALLEST = np.float32(1e-5)


@dataclass
class ChannelRange:
    """The lowest and highest value of each channel, float32 (channels,) both."""

    low: Vector
    high: Vector

    @classmethod
    def nothing(cls) -> ChannelRange:
        """Return the range of no values at all."""
        return cls(np.array(np.inf, np.float32), np.array(-np.inf, np.float32))

    def add(self, values: NDArray[np.float32]) -> None:
        """Widen it by values, (..., channels), if there are any."""
        rows = values.reshape(-1, values.shape[-1])
        if len(rows):
            self.low = np.minimum(self.low, rows.min(axis=0))
            self.high = np.maximum(self.high, rows.max(axis=0))


@dataclass(frozen=True)
class Smoothing:
    """What is taken from each channel, and what it is then divided by; float32 (channels,)."""

    shift: Vector
    divisor: Vector

    def weight(self, weight: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the weight, (channels, out), that smoothed values are multiplied with."""
        return self.divisor[:, None] * weight

    def bias(self, weight: NDArray[np.float32], bias: Vector) -> Vector:
        """Return the bias, (out,), that makes up for the shift."""
        return (bias + self.shift.astype(np.float64) @ weight).astype(np.float32)

    def of_product(
        self, weight: NDArray[np.float32], bias: Vector
    ) -> tuple[NDArray[np.float32], Vector]:
        """Return the weight, (in, channels), and bias of a product that gives smoothed values."""
        return weight / self.divisor, (bias - self.shift) / self.divisor


def smooth(seen: ChannelRange, largest_weight: Vector, limit: float) -> Smoothing:
    """Smooth a channel range so that what was seen lies within +-limit.

    Args:
        seen: the range of the values.
        largest_weight: float32 (channels,), the largest absolute weight that reads each channel.
        limit: what the largest value becomes.
    """
    shift = (seen.low + seen.high) / 2
    reach = np.maximum((seen.high - seen.low) / 2, _SMALLEST)
    weights = np.maximum(largest_weight, _SMALLEST)
    divisor = reach**STRENGTH / weights ** (1 - STRENGTH)
    divisor *= (reach / divisor).max() / np.float32(limit)
    return Smoothing(shift.astype(np.float32), divisor.astype(np.float32))
