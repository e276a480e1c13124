"""The columns of a weight in 8 bits, a scale for each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_LARGEST = 127


def quantize_columns(weight: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Quantize each column of a (in, out) weight symmetrically to 8 bits.

    Returns:
        int8 (in, out) and float32 (out,), so that a value is code * scale. Codes stay within
        -127..127, so that the range is the same on both sides of zero.
    """
    scales = (np.abs(weight).max(axis=0) / np.float32(_LARGEST)).astype(np.float32)
    scales[scales == 0] = 1
    codes = np.clip(np.rint(weight / scales), -_LARGEST, _LARGEST)  # a subnormal scale rounds
    return codes.astype(np.int8), scales
