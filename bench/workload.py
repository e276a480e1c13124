"""What every engine is given: one text with one mask, and its token ids."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Workload:
    """One text of a known number of tokens.

    `ids` are the tokens of `text`, `<s>` and `</s>` included; `mask` is the place of the mask
    among them. Engines that are bare sessions take the ids, whole pipelines the text.
    """

    name: str
    text: str
    ids: tuple[int, ...]
    mask: int
