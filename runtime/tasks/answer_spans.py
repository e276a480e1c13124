"""From start and end logits to spans of tokens, as transformers ranks them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
_MASKED = np.float32(-10_000)


class Spans(NamedTuple):
    """Spans of tokens, best first: their first and last tokens, and scores."""

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    scores: Floats


def rank(
    start_logits: Floats,
    end_logits: Floats,
    allowed: NDArray[np.bool_],
    *,
    count: int,
    most_tokens: int,
) -> tuple[Spans, float]:
    """Rank the spans of one row.

    Args:
        start_logits: of each token to be an answer's first, float32 (length,).
        end_logits: of each token to be its last.
        allowed: which tokens can be part of an answer, bool (length,). The first token, `<s>`,
            stands for no answer and counts as allowed.
        count: how many spans to look at. Those that begin or end where it is not allowed fall out.
        most_tokens: the length of the longest span.

    Returns:
        The spans, and the score of no answer.
    """
    start, end = _probabilities(start_logits, allowed), _probabilities(end_logits, allowed)
    null = float(start[0] * end[0])
    start[0] = end[0] = 0
    starts, ends, scores = best_spans(start, end, count, most_tokens)
    kept = allowed[starts] & allowed[ends]
    return Spans(starts[kept], ends[kept], scores[kept]), null


def _probabilities(logits: Floats, allowed: NDArray[np.bool_]) -> Floats:
    kept = np.where(allowed, logits, _MASKED)
    kept = np.exp(kept - kept.max())
    return np.asarray(kept / kept.sum(), dtype=np.float32)


def best_spans(start: Floats, end: Floats, count: int, most_tokens: int) -> Spans:
    """Return the spans with the largest products of probabilities.

    Where fewer spans than asked for have a score above 0, transformers fills up from all pairs of
    positions, the end before the start even, in an order that is numpy's; and so does this.

    Args:
        start: the probability of each token to be a span's first, float32 (length,).
        end: that to be its last.
        count: how many spans to return, fewer if there are not so many pairs of positions.
        most_tokens: the length of the longest span.
    """
    width = min(most_tokens, len(start))
    # (length, width): spans by their first token and how many follow it
    ends = np.concatenate([end, np.zeros(width - 1, dtype=end.dtype)])
    scores = start[:, None] * ends[np.add.outer(np.arange(len(start)), np.arange(width))]
    if count > 1 and np.count_nonzero(scores) < count:
        # (length, length): spans by their first and last tokens
        scores = np.tril(np.triu(start[:, None] * end[None, :]), width - 1)
        best = _largest(scores.ravel(), count)
        starts, ends_of = np.divmod(best, scores.shape[1])
        return Spans(starts, ends_of, scores[starts, ends_of])
    best = _largest(scores.ravel(), count)
    starts, more = np.divmod(best, width)
    return Spans(starts, starts + more, scores[starts, more])


def _largest(scores: Floats, count: int) -> NDArray[np.int64]:
    # The steps are those of transformers, as they decide between equal scores.
    if count == 1:
        return np.array([scores.argmax()])
    if len(scores) <= count:
        return np.argsort(-scores)
    largest = np.argpartition(-scores, count)[:count]
    return np.asarray(largest[np.argsort(-scores[largest])])
