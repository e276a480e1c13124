"""Weights in 8 bits that can't saturate VPMADDUBSW.

On x86 without VNNI, onnxruntime multiplies U8 activations by S8 weights with VPMADDUBSW and
VPMADDWD. The first multiplies rows 2i and 2i+1 of a column of the (in, out) weight and adds the two
products in 16 bits, with saturation (Intel 64 and IA-32 Architectures Software Developer's Manual,
volume 2, PMADDUBSW); the second adds such sums in 32 bits. An activation is at most 255, so a pair
is exact for every activation if and only if its two codes sum to -128..128: 255 * 128 = 32640 is
below 32767, 255 * 129 is not. Two codes of opposite sign always do.

The other kernels of onnxruntime for these operands, and those of `MatMulNBits`, add in 32 bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from distilroberta.quantize.columns import quantize_columns

_LARGEST = 127
_LARGEST_OF_PAIR = 128


def saturates(codes: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Tell which pairs of rows can saturate.

    Args:
        codes: int8 (in, out).

    Returns:
        bool (ceil(in / 2), out).
    """
    return np.asarray(np.abs(_pair_sums(codes.astype(np.int16))) > _LARGEST_OF_PAIR)


def bound(values: NDArray[np.float32]) -> NDArray[np.int8]:
    """Round values to the nearest codes that can't saturate.

    Args:
        values: float32 (in, out), a weight divided by its scales.

    Returns:
        int8 (in, out), within -127..127. A pair that would saturate is moved to the point of the
        bound with the least squared error.
    """
    codes = np.clip(np.rint(values), -_LARGEST, _LARGEST).astype(np.int8)
    pair, column = np.nonzero(saturates(codes))
    first, second = np.abs(values[2 * pair, column]), np.abs(values[2 * pair + 1, column])
    sign = np.sign(codes[2 * pair, column])
    # Least squares on first + second = 128; 1 leaves 127 for the other.
    first = np.clip(np.rint((first - second + _LARGEST_OF_PAIR) / 2), 1, _LARGEST)
    codes[2 * pair, column] = sign * first
    codes[2 * pair + 1, column] = sign * (_LARGEST_OF_PAIR - first)
    return codes


def quantize_bounded_columns(
    weight: NDArray[np.float32],
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Quantize each column of a weight as `quantize_columns` does, within the bound.

    A column's scale is raised until every pair fits. In the encoder of a trained model the squared
    error is within 3% of that of the best scale; keeping the scale and moving only the pairs that
    do not fit costs 2 to 30 times as much.

    Args:
        weight: float32 (in, out).

    Returns:
        int8 (in, out) and float32 (out,), so that a value is about code * scale.
    """
    _, least = quantize_columns(weight)
    needed = np.abs(_pair_sums(weight)).max(axis=0) / np.float32(_LARGEST_OF_PAIR)
    scales = np.maximum(least, needed)
    return bound(weight / scales), scales


def _pair_sums(values: NDArray[Any]) -> NDArray[Any]:
    # (in, out) -> (ceil(in / 2), out); a last row without a neighbour stands for itself.
    sums = values[0::2].copy()
    sums[: len(values) // 2] += values[1::2]
    return sums
