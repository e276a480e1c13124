"""Texts that have exactly so many tokens, whichever tokenizer counts them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import tokenizers

from distilroberta.bench.workload import Workload
from distilroberta.runtime.errors import InputError

_MASK = "<mask>"
_START = f"The {_MASK}"
# The short ones are one token each in any English vocabulary, and end a text at the right length.
_WORDS = [
    *("of", "the", "old", "town", "was", "closed", "for", "a", "week", "and", "the", "river"),
    *("in", "the", "north", "of", "it", "was", "high"),
]


def workloads(tokenizer: Path, lengths: Iterable[int], longest: int) -> list[Workload]:
    """Make a workload of each length, in tokens, `<s>` and `</s>` included.

    Args:
        tokenizer: a `tokenizer.json` with `<mask>`.
        lengths: the numbers of tokens.
        longest: the most tokens the model takes.

    Raises:
        InputError: a length is more than that, or too short for a text with a mask.
    """
    loaded = tokenizers.Tokenizer.from_file(str(tokenizer))
    loaded.no_truncation()
    loaded.no_padding()
    return [_workload(loaded, length, longest) for length in lengths]


def _workload(tokenizer: tokenizers.Tokenizer, length: int, longest: int) -> Workload:
    if length > longest:
        raise InputError(f"a text of {length} tokens is asked for, the model takes {longest}")
    text = _text(tokenizer, length)
    ids = tuple(tokenizer.encode(text).ids)
    return Workload(f"{length} tokens", text, ids, ids.index(tokenizer.token_to_id(_MASK)))


def _text(tokenizer: tokenizers.Tokenizer, length: int) -> str:
    text, count = _START, len(tokenizer.encode(_START).ids)
    place = refused = 0
    while count < length and refused < len(_WORDS):
        longer = f"{text} {_WORDS[place % len(_WORDS)]}"
        tokens = len(tokenizer.encode(longer).ids)
        place += 1
        if tokens > length:
            refused += 1
            continue
        text, count, refused = longer, tokens, 0
    if count != length:
        raise InputError(f"no text of {length} tokens can be made; ask for some more tokens")
    return text
