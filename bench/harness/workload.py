"""What every engine is given: texts of one length, a mask in each, and their token ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Shape(NamedTuple):
    """How many texts are run at once, and how many tokens each of them has."""

    rows: int
    tokens: int

    def __str__(self) -> str:
        length = f"{self.tokens} tokens"
        return length if self.rows == 1 else f"{self.rows} x {length}"


@dataclass(frozen=True)
class Workload:
    """A batch of texts with the same known number of tokens, so that nothing is padded.

    `ids` holds the tokens of each of `texts`, `<s>` and `</s>` included, and `masks` the place of
    the one mask among them. Bare sessions take the ids, whole pipelines the texts. To a classifier
    the mask is a token like any other.
    """

    name: str
    texts: tuple[str, ...]
    ids: tuple[tuple[int, ...], ...]
    masks: tuple[int, ...]
