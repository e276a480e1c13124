"""Token windows: a sequence that is too long for the model, cut into parts that overlap.

They are the windows of `tokenizers` (`Encoding.truncate`), which transformers runs.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

# How byte-level BPE spells a space.
_SPACE = "\u0120"


def cut(length: int, size: int, overlap: int) -> list[range]:
    """Return the windows of a sequence, the first from 0 on.

    Args:
        length: of the sequence, in tokens.
        size: of a window. The last one ends with the sequence and can be shorter.
        overlap: how many tokens a window shares with the one before it, less than `size` where
            there is more than one window.

    Returns:
        The positions of each window's tokens. At least one window, which may be empty.
    """
    if length <= size:
        return [range(length)]
    starts = range(0, length - overlap, size - overlap)
    return [range(start, min(start + size, length)) for start in starts]


class WindowRows(Sequence[Sequence[int]]):
    """The rows of token ids to run: each window between the tokens that all of them have.

    A row is made when it is asked for, as large overlaps make many times the text's tokens.
    """

    def __init__(
        self, ids: Sequence[int], windows: Sequence[range], before: Sequence[int], after: list[int]
    ) -> None:
        """Hold the ids of the whole sequence, its windows, and the ids around each of these."""
        self._ids, self._windows, self._before, self._after = ids, windows, before, after

    def __len__(self) -> int:
        return len(self._windows)

    def __getitem__(self, index: Any) -> Any:
        window = self._windows[index]
        return [*self._before, *self._ids[window.start : window.stop], *self._after]


def first_offsets(token: str, start: int, end: int) -> tuple[int, int]:
    """Return the offsets of a window's first token, where a prefix space is added to texts.

    `tokenizers` leaves spaces out of a token's offsets, but for a single one of a text's first
    token, which it may have added. It takes the first token of any window for that of a text.

    Args:
        token: as the tokenizer spells it, such as `Ġdog`.
        start: its offset in the whole text, in characters.
        end: its end there.
    """
    spaces = sum(1 for _ in itertools.takewhile(_is_space, token))
    if start == 0 or spaces != 1:
        return start, end
    return start - 1, end if len(token) > 1 else start - 1


def _is_space(character: str) -> bool:
    return character == _SPACE or character.isspace()
