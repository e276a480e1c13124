"""The bound on what a variant may lose."""

from __future__ import annotations

import math

from distilroberta.quantize.quality.errors import QualityError
from distilroberta.quantize.quality.result import Result
from distilroberta.runtime.errors import InputError

# Of a loss in points, which is a hundred times the difference of two scores.
_ROUNDING = 1e-9


def check_bound(max_drop: float) -> None:
    """Check a bound by itself, before the work begins.

    Raises:
        InputError: it is not a number from 0 up.
    """
    if not (math.isfinite(max_drop) and max_drop >= 0):
        raise InputError(f"max_drop must be a number of points from 0 up, found {max_drop!r}")


def check(result: Result, max_drop: float) -> None:
    """Check that no variant loses more than `max_drop` points against the reference.

    Raises:
        QualityError: one does, or more, or a loss is not a number; it names them all, and is about
            the worst.
        InputError: the data has no labels, nothing was compared, or the bound is no bound.
    """
    check_bound(max_drop)
    lost = {one.name: result.lost(one.name) for one in result.scores}
    losses = {name: points for name, points in lost.items() if points is not None}
    if not losses:
        raise InputError(
            f"{result.data}: a loss can't be stated without labels and a reference; give data with "
            "labels, or leave out --max-drop"
        )
    allowed = max_drop + _ROUNDING
    # Also where it is not a number.
    over = {name: points for name, points in losses.items() if not points <= allowed}
    if not over:
        return
    worst = max(over, key=lambda name: (math.isnan(over[name]), over[name]))
    said = "; ".join(_said(result, name, points) for name, points in over.items())
    raise QualityError(
        worst,
        f"{said}; at most {max_drop:g} points are allowed: leave out {' and '.join(over)}, or "
        "raise --max-drop",
        lost=over[worst],
        allowed=max_drop,
    )


def _said(result: Result, name: str, points: float) -> str:
    metric = result.main_metric or ""
    values = {one.name: one.metrics.get(metric, math.nan) for one in result.scores}
    return (
        f"{name} loses {points:.2f} points of {metric} on {result.data} ({values[name]:.4f}, "
        f"{result.reference} has {values[result.reference or '']:.4f})"
    )
