"""Values that are not finite are an error and no answer."""

from __future__ import annotations

import numpy as np
import pytest

from distilroberta.runtime.errors import NonFiniteError
from distilroberta.runtime.execution.finite import check_finite


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", [(0, 0, 0), (1, 2, 3)])
def test_one_value(value: float, where: tuple[int, ...]) -> None:
    values = np.zeros((2, 3, 4), np.float32)
    values[where] = value
    with pytest.raises(NonFiniteError, match="variant fp16 computed values that are not finite"):
        check_finite([np.zeros((2, 3), np.float32), values], "fp16")


def test_large_values_are_finite() -> None:
    """Their sum, or that of their squares, would not be."""
    check_finite([np.full((2, 3), 3e38, np.float32), np.zeros((0, 5), np.float32)], "int8")
