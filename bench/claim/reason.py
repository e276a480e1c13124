"""Why DistilRoBERTa is not twice as fast, told from two sides: by operations and by time.

With n layers in one model and m in the other, which take d and b, what both have alike beside their
layers takes (m d - n b) / (m - n), here 2 d - b: of operations the language-model head; of time
that, the embedding, and what a call costs whatever it computes. The time is taken in each round,
and told where the median is more than what lies between the quartiles: less is noise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from distilroberta.bench.claim.models import FILL_MASK
from distilroberta.bench.harness import tables
from distilroberta.bench.harness.interleave import Spread
from distilroberta.bench.harness.ratio_interval import ENOUGH_ROUNDS
from distilroberta.bench.limit.work import Work

# What both models have alike is worth a word from this share of DistilRoBERTa's operations on.
_NOTABLE = 0.05


@dataclass(frozen=True)
class Subjects:
    """What is known of both models in one engine before they are timed, DistilRoBERTa's first.

    `layers` are their numbers of layers, `works` what they compute, by workload name; empty where
    it can't be counted.
    """

    task: str
    layers: tuple[int, int]
    works: Mapping[str, tuple[Work, Work]]


def expected(works: tuple[Work, Work]) -> float:
    """Return the ratio of both models' operations."""
    smaller, larger = map(_operations, works)
    return larger / smaller


def of(
    distil: Sequence[float],
    base: Sequence[float],
    works: tuple[Work, Work] | None,
    subjects: Subjects,
) -> str | None:
    """Say why the ratio is below 2; None where neither operations nor times tell.

    Args:
        distil: DistilRoBERTa's milliseconds in each round.
        base: RoBERTa-base's in the same rounds.
        works: what both compute, None where it can't be counted.
        subjects: both models.
    """
    said = [_by_operations(works, subjects)] if works is not None else []
    said.append(_by_time(distil, base, subjects.layers))
    return "; ".join(part for part in said if part) or None


def _by_operations(works: tuple[Work, Work], subjects: Subjects) -> str | None:
    smaller, larger = map(_operations, works)
    share = _alike(smaller, larger, subjects.layers) / smaller
    if share < _NOTABLE:
        return None
    is_mask = subjects.task == FILL_MASK
    what = "the language-model head" if is_mask else "what stands beside the layers"
    return (
        f"{what} is the same in both and {share:.0%} of DistilRoBERTa's operations, which "
        f"leaves {larger / smaller:.2f} times"
    )


def _by_time(distil: Sequence[float], base: Sequence[float], layers: tuple[int, int]) -> str | None:
    if len(distil) < ENOUGH_ROUNDS:
        return None
    alike = Spread.of(
        [_alike(small, large, layers) for small, large in zip(distil, base, strict=True)]
    )
    if alike.median <= max(0, alike.high - alike.low):
        return None
    return (
        f"about {tables.digits(alike.median)} of its {tables.digits(median(distil))} ms go to what "
        "takes as long in both models"
    )


def _operations(work: Work) -> int:
    return work.int8_operations + work.float_operations


def _alike(small: float, large: float, layers: tuple[int, int]) -> float:
    # See the top of this file; nothing can be said of models with equally many layers.
    few, many = layers
    return (many * small - few * large) / (many - few) if many > few else 0.0
