"""SQuAD's rules for an answer, those of its evaluation scripts.

https://rajpurkar.github.io/SQuAD-explorer/: letter case, punctuation, articles and spaces do not
count, and of several right answers the best match does.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

_ARTICLE = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize(answer: str) -> str:
    """Return what of an answer counts."""
    return " ".join(_ARTICLE.sub(" ", answer.lower().translate(_PUNCTUATION)).split())


def exact_match(found: str, answers: Sequence[str]) -> float:
    """Return 1 if an answer is one of the right ones, otherwise 0.

    `answers` is empty for a question that can't be answered; then "" is right.
    """
    return _best(lambda a, b: float(normalize(a) == normalize(b)), found, answers)


def f1(found: str, answers: Sequence[str]) -> float:
    """Return the largest F1 of an answer's words with those of a right one, each counted."""
    return _best(_f1, found, answers)


def _best(score: Callable[[str, str], float], found: str, answers: Sequence[str]) -> float:
    # An answer of which nothing counts is none, as the script of version 2 has it.
    right = [answer for answer in answers if normalize(answer)]
    return max(score(found, answer) for answer in right or [""])


def _f1(found: str, answer: str) -> float:
    ours, theirs = normalize(found).split(), normalize(answer).split()
    if not ours or not theirs:
        return float(ours == theirs)
    common = sum((Counter(ours) & Counter(theirs)).values())
    return 2 * common / (len(ours) + len(theirs))
