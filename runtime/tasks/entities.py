"""From labelled tokens to words and entities, by the rules of transformers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

# Turns the spellings of tokens into text.
Join = Callable[[Sequence[str]], str]

# How a word gets its label: from its first token, from the mean of its tokens' scores, or from the
# token that is surest.
WORD_STRATEGIES = ("first", "average", "max")


class Unit(NamedTuple):
    """A token, or a whole word, and the label it gets.

    `start` and `end` are character offsets in the text.
    """

    label: int
    score: float
    spelling: str
    start: int
    end: int


def words(
    tokens: Sequence[Unit],
    continues: Sequence[bool],
    scores: NDArray[np.float32],
    strategy: str,
    join: Join,
) -> list[Unit]:
    """Join tokens to words, each with one label.

    Args:
        tokens: the tokens in order.
        continues: for each, whether it continues the word of the token before it.
        scores: float32 (tokens, labels).
        strategy: one of `WORD_STRATEGIES`.
        join: turns spellings into text.
    """
    first_tokens = [0, *(i for i in range(1, len(tokens)) if not continues[i])]
    return [
        _word(tokens[first:end], scores[first:end], strategy, join)
        for first, end in itertools.pairwise((*first_tokens, len(tokens)))
        if first < end
    ]


def _word(tokens: Sequence[Unit], scores: NDArray[np.float32], strategy: str, join: Join) -> Unit:
    label, score = tokens[0].label, tokens[0].score
    if strategy == "max":
        surest = max(tokens, key=lambda token: token.score)
        label, score = surest.label, surest.score
    elif strategy == "average" and len(tokens) > 1:
        mean = scores.mean(axis=0)
        label = int(mean.argmax())
        score = float(mean[label])
    spelling = join([token.spelling for token in tokens])
    return Unit(label, score, spelling, tokens[0].start, tokens[-1].end)


def entities(units: Iterable[Unit], labels: dict[int, str], join: Join) -> list[dict[str, Any]]:
    """Join neighbours to entities.

    A unit goes on with the entity before it if their labels name the same kind and its own is not
    that of a beginning, `B-`. The score of an entity is the mean of its units' scores.

    Returns:
        `{"entity_group", "score", "word", "start", "end"}` for each entity, in order.
    """
    found: list[list[Unit]] = []
    last = None
    for unit in units:
        begins, kind = _kind(labels[unit.label])
        if found and kind == last and not begins:
            found[-1].append(unit)
        else:
            found.append([unit])
        last = kind
    return [_entity(members, labels, join) for members in found]


def _kind(label: str) -> tuple[bool, str]:
    if label.startswith(("B-", "I-")):
        return label[0] == "B", label[2:]
    return False, label


def _entity(units: Sequence[Unit], labels: dict[int, str], join: Join) -> dict[str, Any]:
    return {
        # Whatever stands before the first hyphen is left out, not only a B or I.
        "entity_group": labels[units[0].label].split("-", 1)[-1],
        "score": sum(unit.score for unit in units) / len(units),
        "word": join([unit.spelling for unit in units]),
        "start": units[0].start,
        "end": units[-1].end,
    }


def without_overlaps(found: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Choose among what several windows found in the same place.

    Of two that overlap the longer one stays, of two equally long ones that with the higher score.

    Args:
        found: has `start`, `end` and `score`, in any order.

    Returns:
        Those that stay, by where they start.
    """
    ordered = sorted(found, key=lambda one: one["start"])
    # The first is compared with itself, as transformers does: one of no characters comes twice.
    kept = ordered[:1]
    for one in ordered:
        if one["start"] >= kept[-1]["end"]:
            kept.append(one)
        elif _rank(one) > _rank(kept[-1]):
            kept[-1] = one
    return kept


def _rank(one: dict[str, Any]) -> tuple[int, float]:
    return one["end"] - one["start"], one["score"]
