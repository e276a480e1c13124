"""The tokenizer of an artifact, set up once and never changed afterwards.

Truncation is set when it is loaded and padding is done in numpy: `tokenizers` keeps both as state
of one shared object, and changing it while another thread encodes fails ("Already borrowed").
Encoding always goes through `encode_batch`, even for one text: `encode` holds the GIL.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from numpy.typing import NDArray

from distilroberta.runtime import layout
from distilroberta.runtime.errors import ArtifactError, InputError
from distilroberta.runtime.model_config import ModelConfig, read_json

# A text, or a text and its pair.
Text = str | tuple[str, str]

# What transformers calls `clean_up_tokenization_spaces`, in its order.
_CLEAN_UP = (
    *((f" {mark}", mark) for mark in (".", "?", "!", ",")),
    (" ' ", "'"),
    *((f" {ending}", ending) for ending in ("n't", "'m", "'s", "'ve", "'re")),
)


class Tokenizer:
    """Texts to token ids and back, as the checkpoint's own tokenizer does it."""

    def __init__(self, folder: Path, config: ModelConfig) -> None:
        """Load the tokenizer from an artifact's folder.

        Raises:
            ArtifactError: it can't be read, lacks a special token, or belongs to another model.
        """
        path = folder / layout.TOKENIZER
        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # tokenizers raises Exception itself
            raise ArtifactError(f"{path} is not a tokenizer: {error}") from error
        size = self._tokenizer.get_vocab_size(with_added_tokens=True)
        if size > config.vocab_size:
            raise ArtifactError(
                f"{path} has {size} tokens, the model {config.vocab_size}: it belongs to another "
                "model"
            )
        settings = read_json(folder / layout.TOKENIZER_CONFIG)
        self._cleans_up = bool(settings.get("clean_up_tokenization_spaces", False))
        self.mask_token = _content(settings.get("mask_token") or "<mask>")
        # None for a tokenizer without one, which only fill-mask needs.
        self.mask_token_id = self.token_to_id(self.mask_token)
        self.pad_token_id = config.pad_token_id
        self.max_length = config.max_length
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(self.max_length)

    def encode(self, texts: Sequence[Text]) -> list[tokenizers.Encoding]:
        """Tokenize texts that `check` lets pass, each cut to the model's length."""
        return list(self._tokenizer.encode_batch(list(texts)))

    def check(self, text: Text) -> Text:
        """Return a text that can be tokenized.

        Raises:
            InputError: it holds half of a surrogate pair, which is no character.
        """
        try:
            for part in (text,) if isinstance(text, str) else text:
                part.encode()
        except UnicodeEncodeError as error:
            raise InputError(
                "holds a lone surrogate (half of a UTF-16 pair), which is no character: decode "
                "the text correctly, or replace it"
            ) from error
        return text

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = False) -> str:
        """Turn token ids back into text, as the transformers tokenizer of this checkpoint does."""
        text = str(self._tokenizer.decode(ids, skip_special_tokens=skip_special_tokens))
        if self._cleans_up:
            for found, better in _CLEAN_UP:
                text = text.replace(found, better)
        return text

    def token_to_id(self, token: str) -> int | None:
        """Return a vocabulary entry's id, or None if there is no such entry."""
        index: int | None = self._tokenizer.token_to_id(token)
        return index

    def id_to_token(self, index: int) -> str:
        """Return the vocabulary entry of an id, as the vocabulary spells it."""
        return str(self._tokenizer.id_to_token(index))

    def first_token(self, text: str) -> int | None:
        """Return the id of a text's first token, or None for a text without tokens."""
        ids = self._tokenizer.encode_batch([text], add_special_tokens=False)[0].ids
        return ids[0] if ids else None

    def pad(self, rows: Sequence[Sequence[int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Make one array of rows of ids, and the mask that is 1 on real tokens, 0 on padding.

        Returns:
            Two int64 arrays of shape (rows, longest row).
        """
        longest = max(map(len, rows))
        ids = np.full((len(rows), longest), self.pad_token_id, dtype=np.int64)
        mask = np.zeros((len(rows), longest), dtype=np.int64)
        for index, row in enumerate(rows):
            ids[index, : len(row)] = row
            mask[index, : len(row)] = 1
        return ids, mask


def _content(token: Any) -> str:
    # tokenizer_config.json gives a special token as a string, or as an object with its content.
    return str(token["content"] if isinstance(token, dict) else token)
