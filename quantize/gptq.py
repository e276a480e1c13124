"""Rounding a weight to 4 bits so that its products stay the same, not its values.

GPTQ (Frantar et al. 2022, https://arxiv.org/abs/2210.17323) rounds one column after the other and
has the columns that are still to come make up for the error, as far as the values they are
multiplied with go together. With the Hessian H of the squared error of a product, which is the
second moment of these values, and H = F D F^T, F upper triangular with ones on its diagonal and D
diagonal, column k is rounded after

    sum over j < k of  (weight_j - rounded_j) * F[j, k]

is added to it. In this form it is LDLQ of Chee et al. 2023, who show that it is GPTQ
(https://arxiv.org/abs/2307.13304, section 4 and theorem 6).

Columns come in the order of their Hessian's diagonal, the largest first (the "act-order" of GPTQ's
authors). Each block has the range of its unrounded weights, with a zero point. Measured on the
trained models this was developed with, ranges found by search (least squared error), further
rounds of coordinate descent and refitted scales gave nothing or next to nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from distilroberta.quantize.nbits import Blocks

Matrix = NDArray[np.float32]

_BITS = 4
_LARGEST = 2**_BITS - 1
# How many columns take the errors before them in one product, and how many rows of a large matrix
# are in work at once: both keep what is in work in the processor's cache.
_COLUMNS = 64
_ROWS = 2048


def damped(hessian: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """Return a Hessian as if each column's values had independent noise added.

    What was seen of few texts is not all there is; the noise keeps the rounding from making much of
    it, and the Hessian positive definite.

    Args:
        hessian: float64 (columns, columns).
        share: the noise's power, as a share of the mean of the diagonal.
    """
    power = np.diag(hessian).mean()
    noise = share * power if power > 0 else 1.0  # if nothing was seen, columns count alike
    return hessian + noise * np.eye(len(hessian))


def quantize(matrix: Matrix, hessian: NDArray[np.float64], block: int) -> Blocks:
    """Quantize the rows of a matrix, each in blocks of 4 bits with a zero point.

    Args:
        matrix: float32 (rows, columns), which is multiplied along its columns.
        hessian: float64 (columns, columns), positive definite, see `damped`.
        block: how many columns share a scale; it divides their number.
    """
    order = np.argsort(-np.diag(hessian), kind="stable")
    feedback = _feedback(hessian[np.ix_(order, order)])
    codes = np.empty(matrix.shape, dtype=np.uint8)
    scales, zero_points = _ranges(matrix, block)
    for first in range(0, len(matrix), _ROWS):
        rows = slice(first, first + _ROWS)
        # A column of the matrix is contiguous here.
        rounded = _round(
            np.ascontiguousarray(matrix[rows].T[order]),
            np.ascontiguousarray(scales[rows].T)[order // block],
            np.ascontiguousarray(zero_points[rows].T)[order // block],
            feedback,
        )
        codes[rows, order] = rounded.T
    return Blocks(codes.reshape(len(codes), -1, block), scales, zero_points, _BITS)


def _feedback(hessian: NDArray[np.float64]) -> Matrix:
    # Cholesky's factor is lower triangular; of the matrix turned around, it is the upper one.
    factor = _cholesky(hessian[::-1, ::-1])[::-1, ::-1]
    return (factor / np.diag(factor)).astype(np.float32)


def _cholesky(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    # In panels, because NumPy's takes ten times as long for 3072 columns on two threads as on one.
    factor = np.zeros_like(matrix)
    for first in range(0, len(matrix), _COLUMNS):
        end = first + _COLUMNS
        panel = matrix[first:, first:end] - factor[first:, :first] @ factor[first:end, :first].T
        corner = np.linalg.cholesky(panel[:_COLUMNS])
        factor[first:end, first:end] = corner
        factor[end:, first:end] = np.linalg.solve(corner, panel[_COLUMNS:].T).T
    return factor


def _ranges(matrix: Matrix, block: int) -> tuple[Matrix, NDArray[np.uint8]]:
    # -> (rows, blocks) both. The range of a block holds zero, which is exact.
    blocks = matrix.reshape(len(matrix), -1, block)
    low = np.minimum(blocks.min(axis=2), 0)
    high = np.maximum(blocks.max(axis=2), 0)
    scales = (high - low) / np.float32(_LARGEST)
    scales[scales == 0] = 1
    zero_points = np.clip(np.rint(-low / scales), 0, _LARGEST)
    return scales, zero_points.astype(np.uint8)


def _round(
    weight: Matrix, scales: Matrix, zero_points: NDArray[np.uint8], feedback: Matrix
) -> NDArray[np.uint8]:
    # All but the feedback are (columns, rows), the columns in the order they are rounded in.
    codes = np.empty(weight.shape, dtype=np.uint8)
    errors = np.empty_like(weight)
    for first in range(0, len(weight), _COLUMNS):
        end = min(first + _COLUMNS, len(weight))
        started = weight[first:end] + feedback[:first, first:end].T @ errors[:first]
        for k in range(first, end):
            wanted = started[k - first] + feedback[first:k, k] @ errors[first:k]
            zero = zero_points[k].astype(np.float32)
            code = np.clip(np.rint(wanted / scales[k]) + zero, 0, _LARGEST)
            codes[k] = code
            errors[k] = weight[k] - (code - zero) * scales[k]
    return codes
