"""Texts that have exactly so many tokens, whichever tokenizer counts them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import tokenizers

from distilroberta.bench.harness.workload import Shape, Workload
from distilroberta.runtime import Artifact, layout
from distilroberta.runtime.errors import InputError
from distilroberta.runtime.tasks.model_config import ModelConfig

_MASK = "<mask>"
_START = f"The {_MASK}"
# The short ones are one token each in any English vocabulary, and end a text at the right length.
_WORDS = [
    *("of", "the", "old", "town", "was", "closed", "for", "a", "week", "and", "the", "river"),
    *("in", "the", "north", "of", "it", "was", "high"),
]


def of_artifact(artifact: Artifact, shapes: Iterable[Shape]) -> list[Workload]:
    """Make workloads for an artifact's tokenizer and model; see `workloads`."""
    longest = ModelConfig.read(artifact.file(layout.CONFIG)).max_length
    return workloads(artifact.file(layout.TOKENIZER), shapes, longest)


def workloads(tokenizer: Path, shapes: Iterable[Shape], longest: int) -> list[Workload]:
    """Make a workload of each shape, its tokens counted with `<s>` and `</s>`.

    Args:
        tokenizer: a `tokenizer.json` with `<mask>`.
        shapes: the numbers of texts and of tokens. The texts of one workload differ.
        longest: the most tokens the model takes.

    Raises:
        InputError: a text is to have more tokens than that, or too few for one with a mask.
    """
    loaded = tokenizers.Tokenizer.from_file(str(tokenizer))
    loaded.no_truncation()
    loaded.no_padding()
    return [_workload(loaded, shape, longest) for shape in shapes]


def _workload(tokenizer: tokenizers.Tokenizer, shape: Shape, longest: int) -> Workload:
    if shape.tokens > longest:
        raise InputError(f"a text of {shape.tokens} tokens is asked for, the model takes {longest}")
    texts = tuple(_text(tokenizer, shape.tokens, row) for row in range(shape.rows))
    ids = tuple(tuple(tokenizer.encode(text).ids) for text in texts)
    mask = tokenizer.token_to_id(_MASK)
    return Workload(str(shape), texts, ids, tuple(row.index(mask) for row in ids))


def _text(tokenizer: tokenizers.Tokenizer, length: int, first: int) -> str:
    text, count = _START, len(tokenizer.encode(_START).ids)
    place, refused = first, 0
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
