"""How far values go from zero, and where to stop counting them.

A range that holds every value gives each of them a coarser scale than most of them need. `entropy`
and `percentile` look for a shorter one:

* `entropy` takes the one whose values, put into 128 levels, differ least from the values as they
  are, by Kullback-Leibler divergence: TensorRT's calibration (Migacz, "8-bit Inference with
  TensorRT", GTC 2017, session S7310).
* `percentile` takes the one that holds a given share of the values (Wu et al. 2020,
  https://arxiv.org/abs/2004.09602, section 3.1).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Both of TensorRT's calibration.
BINS = 2048
_LEVELS = 128

Counts = NDArray[np.int64]


class Histogram:
    """Counts of absolute values in `BINS` bins of equal width, from 0 to `reach`."""

    def __init__(self, reach: float) -> None:
        """Take the largest absolute value that is expected; a larger one counts as this one."""
        self.reach = reach
        self.counts: Counts = np.zeros(BINS, np.int64)

    def add(self, values: NDArray[np.float32]) -> None:
        """Count values of any shape."""
        sizes = np.minimum(np.abs(values), np.float32(self.reach))
        self.counts += np.histogram(sizes, bins=BINS, range=(0, self.reach))[0]

    def percentile(self, share: float) -> float:
        """Return the upper edge of the bin in which a share of the values, in per cent, is reached.

        Args:
            share: above 0, at most 100.
        """
        reached = np.cumsum(self.counts) >= self.counts.sum() * (share / 100)
        return self._edge(int(np.argmax(reached)) + 1)

    def entropy(self) -> float:
        """Return the upper edge of the last bin to keep for the least divergence."""
        kept = range(_LEVELS, BINS + 1)
        return self._edge(min(kept, key=lambda bins: _divergence(self.counts, bins)))

    def _edge(self, bins: int) -> float:
        return self.reach * bins / BINS


def _divergence(counts: Counts, bins: int) -> float:
    # Of the first bins, with all that lies beyond in the last of them, from the same bins in
    # levels: each level's values spread evenly over those of its bins that are not empty.
    inside = counts[:bins]
    clipped = inside.astype(np.float64)
    clipped[-1] += counts[bins:].sum()
    if not clipped.any():
        return 0.0
    starts = np.arange(_LEVELS) * bins // _LEVELS
    filled = inside > 0
    sums = np.add.reduceat(inside, starts)
    means = sums / np.maximum(np.add.reduceat(filled, starts, dtype=np.int64), 1)
    levels = np.repeat(means, np.diff(starts, append=bins)) * filled
    if not levels.any():
        return np.inf
    present = clipped > 0
    p = clipped[present] / clipped.sum()
    # Only the last bin may hold values beyond it and none of its own.
    q = np.maximum(levels[present] / levels.sum(), np.finfo(np.float64).tiny)
    return float((p * np.log(p / q)).sum())
