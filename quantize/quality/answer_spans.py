"""The answer to a question from start and end logits, by the rules of transformers' `run_qa`.

https://github.com/huggingface/transformers/blob/main/examples/pytorch/question-answering/utils_qa.py
A span's score is its start logit plus its end logit. Of each window the 20 best starts and the 20
best ends are paired; a span runs forward and has at most 30 tokens. "No answer" scores the logits
of `<s>`, the least of all windows, and is given where it beats the best span. One difference: only
tokens of the context are ranked, so the question can't crowd them out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BEST = 20
LONGEST = 30


@dataclass(frozen=True)
class Span:
    """A span of characters of the context, [start, end), and its score."""

    score: float
    start: int
    end: int


def best_spans(
    start: NDArray[np.float32],
    end: NDArray[np.float32],
    offsets: NDArray[np.int32],
) -> list[Span]:
    """Return the best spans of a window, best first, no more than 20.

    Args:
        start: the start logits of the window's context tokens, float32 (tokens,).
        end: the end logits of the same.
        offsets: int32 (tokens, 2), the characters of the context that each of them covers.
    """
    starts = np.argsort(start)[::-1][:BEST].tolist()
    ends = np.argsort(end)[::-1][:BEST].tolist()
    spans = [
        Span(float(start[first]) + float(end[last]), int(offsets[first, 0]), int(offsets[last, 1]))
        for first in starts
        for last in ends
        if first <= last < first + LONGEST
    ]
    return sorted(spans, key=lambda span: -span.score)[:BEST]


def answer(context: str, spans: Sequence[Span], no_answer: float | None) -> str:
    """Return the best answer from the spans of all windows, "" for none.

    Args:
        context: the text that the spans are of.
        spans: the spans of all windows, in their order.
        no_answer: the score of "no answer"; None where every question has one.
    """
    ranked = sorted(spans, key=lambda span: -span.score)
    if no_answer is None:
        return context[ranked[0].start : ranked[0].end] if ranked else ""
    for span in ranked:
        if text := context[span.start : span.end]:
            return text if span.score >= no_answer else ""
    return ""
