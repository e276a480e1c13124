"""Taking the mean of a rounding error out of a product.

Rounded weights are off by some E, so a product is off by x @ E. The mean of x, known from
calibration, gives the mean of that error, and the bias can take it back exactly (Nagel et al.
2019, "Data-Free Quantization", https://arxiv.org/abs/1906.04721, section 4.2). What is left is what
x does about its mean. Without this, a channel that is far from zero for every token, as trained
models have them, adds the same error to each.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from distilroberta.quantize.smoothing import Vector


def corrected_bias(
    bias: Vector,
    mean: Vector,
    weight: NDArray[np.float32],
    new_mean: Vector,
    new_weight: NDArray[np.float32],
) -> Vector:
    """Return the bias with which another product gives the same for the mean of the values.

    Args:
        bias: float32 (out,), of the product to be replaced.
        mean: float32 (channels,), of the values it reads.
        weight: float32 (channels, out).
        new_mean: float32 (channels,), of the values that the other product reads.
        new_weight: float32 (channels, out).

    Returns:
        float32 (out,).
    """
    moved = mean.astype(np.float64) @ weight - new_mean.astype(np.float64) @ new_weight
    return (bias + moved).astype(np.float32)
