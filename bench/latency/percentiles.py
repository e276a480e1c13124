"""The percentiles of single calls, as far as there are calls enough to tell them.

Rounds are for comparing engines: their medians say what an engine usually takes. Who waits for an
answer asks for the slow calls too, so these are over every timed call of all rounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Percentiles(NamedTuple):
    """Percentiles in the unit of the values, and of how many values they are.

    The one of p % is None for less than 100 / (100 - p) values, 10 for p90 and 100 for p99: above
    it there is not even one value.
    """

    p50: float
    p90: float | None
    p99: float | None
    calls: int


def of(values: Sequence[float]) -> Percentiles:
    """Return the percentiles of at least one value, interpolated linearly between values."""
    return Percentiles(
        float(np.percentile(values, 50)), _if_told(values, 90), _if_told(values, 99), len(values)
    )


def _if_told(values: Sequence[float], percent: int) -> float | None:
    if len(values) * (100 - percent) < 100:
        return None
    return float(np.percentile(values, percent))
