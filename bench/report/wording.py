"""Numbers as the report shows them: three digits, and no more sure than they are."""

from __future__ import annotations

from collections.abc import Sequence

from distilroberta.bench.harness.interleave import Spread
from distilroberta.bench.harness.ratio_interval import Ratio

NOTHING = "–"  # noqa: RUF001 - a dash, as tables have it
DOUBT = "?"
DOUBT_MEANS = (
    "?: a difference of too few rounds, or one that the interval is wider than; an interval that "
    "holds 1 shows no difference"
)


def digits(value: float) -> str:
    """Return a number with three digits or three places: `0.331`, `5.21`, `52.1`, `521`, `5213`."""
    size = abs(value)
    if size >= 100:
        return f"{value:.0f}"
    if size >= 10:
        return f"{value:.1f}"
    if size >= 1:
        return f"{value:.2f}"
    return f"{value:.3f}" if size >= 0.01 else f"{value:.2g}"


def spread(values: Spread) -> str:
    """Return a median with its quartiles: `18.2 (18.0-18.5)`."""
    return f"{digits(values.median)} ({_between(digits(values.low), digits(values.high))})"


def times(value: float) -> str:
    """Return a ratio with the sign for times."""
    return f"{value:.2f}×"  # noqa: RUF001 - the sign for times


def interval(ratio: Ratio) -> str:
    """Return the interval of a ratio: `1.95-1.99`."""
    return _between(f"{ratio.low:.2f}", f"{ratio.high:.2f}")


def ratio(found: Ratio) -> str:
    """Return a ratio with its interval in parentheses."""
    return f"{times(found.estimate)} ({interval(found)})"


def doubted(said: str, *, doubtful: bool) -> str:
    """Return what is said of a ratio, with a mark where a warning belongs to it."""
    return f"{said} {DOUBT}" if doubtful else said


def megabytes(count: int | None) -> str:
    """Return a size in megabytes of a million bytes, without the unit: `85.1`."""
    return NOTHING if count is None else digits(count / 1e6)


def percent(share: float) -> str:
    """Return a share: `97.8 %`."""
    return f"{100 * share:.1f} %"


def cosine(value: float) -> str:
    """Return a cosine, with as many digits as set it apart from 1: `0.9996`."""
    return f"{value:.6f}" if 0.9999 < value < 1 else f"{value:.4f}"


def _between(low: str, high: str) -> str:
    return f"{low}–{high}"  # noqa: RUF001 - a dash, as ranges have it


_TASKS = {
    "feature-extraction": "encoder (feature-extraction)",
    "text-classification": "classification",
}


def task(name: str) -> str:
    """Return what a task is called in headings."""
    return _TASKS.get(name, name)


_LEVELS = {"model": "the model alone", "pipeline": "whole pipelines"}


def level(name: str) -> str:
    """Return what is timed, as headings have it."""
    return _LEVELS.get(name, name)


def capital(text: str) -> str:
    """Return a text with its first letter large, as a heading has it."""
    return text[:1].upper() + text[1:]


def listed(words: Sequence[str]) -> str:
    """Return `a, b and c`."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last
