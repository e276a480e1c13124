"""Inputs for fill-mask as an application sends them: texts of every length, some in lists."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# Of the inputs, one in so many is a list of texts, and one in so many of the texts has more masks.
_LISTS = 8
_SEVERAL_MASKS = 8
_MOST_TEXTS = 8
_MOST_MASKS = 4
# `<s>` and `</s>`, and room for the tokens that a word makes more where it is cut off a text.
_SPARE = 12


@dataclass(frozen=True)
class Corpus:
    """A long text and where each of its tokens begins and ends, in characters."""

    text: str
    offsets: Sequence[tuple[int, int]]


def draw(corpus: Corpus, mask: str, longest: int, seed: int) -> Iterator[str | list[str]]:
    """Yield inputs without end: a text, or a list of 2 to 8.

    A text is a stretch of the corpus in which one token, or some, became a mask. Their numbers of
    tokens are spread evenly on a logarithmic scale, from 3 up to about `longest` and never above.
    """
    source = random.Random(seed)  # noqa: S311 - texts, no secret
    while True:
        if source.randrange(_LISTS):
            yield _text(corpus, mask, longest, source)
        else:
            count = source.randint(2, _MOST_TEXTS)
            yield [_text(corpus, mask, longest, source) for _ in range(count)]


def _text(corpus: Corpus, mask: str, longest: int, source: random.Random) -> str:
    most = min(longest - _SPARE, len(corpus.offsets))
    tokens = round(float(most) ** source.random())
    first = source.randrange(len(corpus.offsets) - tokens + 1)
    # Several tokens of one character begin and end alike.
    stretch = sorted(set(corpus.offsets[first : first + tokens]))
    begin, text = stretch[0][0], corpus.text[: stretch[-1][1]]
    wanted = 1 if source.randrange(_SEVERAL_MASKS) else source.randint(2, _MOST_MASKS)
    # From the last one on, so that those before stay where they are.
    for start, stop in sorted(source.sample(stretch, min(wanted, len(stretch))), reverse=True):
        text = f"{text[:start]} {mask}{text[stop:]}"
    return text[begin:]
