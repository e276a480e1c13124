"""The tokenizer of an artifact, set up once and never changed afterwards.

Truncation is set when it is loaded and padding is done in numpy: `tokenizers` keeps both as state
of one shared object, and changing it while another thread encodes fails ("Already borrowed").
Encoding always goes through `encode_batch`, even for one text: `encode` holds the GIL.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from numpy.typing import NDArray

from distilroberta.runtime import layout
from distilroberta.runtime.checks import shown
from distilroberta.runtime.errors import ArtifactError, InputError
from distilroberta.runtime.tasks.clipping import Clipper
from distilroberta.runtime.tasks.model_config import SHORTEST, ModelConfig, read_json

# A text, or a text and its pair.
Text = str | tuple[str, str]

_SURROGATE = (
    "holds a lone surrogate (half of a UTF-16 pair), which is no character: decode the text "
    "correctly, or replace it"
)

# What transformers calls `clean_up_tokenization_spaces`, in its order.
_CLEAN_UP = (
    *((f" {mark}", mark) for mark in (".", "?", "!", ",")),
    (" ' ", "'"),
    *((f" {ending}", ending) for ending in ("n't", "'m", "'s", "'ve", "'re")),
)


class Tokenizer:
    """Texts to token ids and back, as the checkpoint's own tokenizer does it."""

    def __init__(
        self, folder: Path, config: ModelConfig, *, truncation: str | None = "longest_first"
    ) -> None:
        """Load the tokenizer from an artifact's folder.

        Args:
            folder: where its files are.
            config: of the model that it is for.
            truncation: what is cut where a text has more tokens than the model takes:
                `longest_first` takes turns between the two texts of a pair, `only_first` keeps
                the second whole. None cuts nothing.

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
        self.mask_token = _special(settings, "mask_token", "<mask>", folder)
        # None for a tokenizer without one, which only fill-mask needs.
        self.mask_token_id = self.token_to_id(self.mask_token)
        self.pad_token_id = config.pad_token_id
        self.unk_token_id = self.token_to_id(_special(settings, "unk_token", "<unk>", folder))
        self.cls_token_id = self.token_to_id(_special(settings, "cls_token", "<s>", folder))
        self.max_length = _max_length(settings, config)
        self._decoder = self._tokenizer.decoder
        self._of_words: tokenizers.Tokenizer | None = None
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._cuts = truncation is not None
        if self._cuts:
            self._tokenizer.enable_truncation(self.max_length, strategy=truncation)
        self._clipper = Clipper(self._tokenizer, self.max_length)

    def encode(
        self, texts: Sequence[Any], *, special_tokens: bool = True, split: bool = False
    ) -> list[tokenizers.Encoding]:
        """Tokenize texts that `readable` lets pass, each cut as `truncation` says.

        Args:
            texts: strings, or pairs of them; lists of words where they are `split`.
            special_tokens: put `<s>` and `</s>` around them.
            split: they are lists of words. Each is tokenized as if a space came before it, which is
                what transformers demands of a RoBERTa tokenizer then (`add_prefix_space=True`).
        """
        tokenizer = self._for_words() if split else self._tokenizer
        return list(
            tokenizer.encode_batch(
                list(texts), is_pretokenized=split, add_special_tokens=special_tokens
            )
        )

    def _for_words(self) -> tokenizers.Tokenizer:
        # Made when first needed, as it takes as long as loading. Made twice if two threads need it
        # first, which does no harm.
        if self._of_words is None:
            tree = json.loads(self._tokenizer.to_str())
            for step in ("pre_tokenizer", "post_processor"):
                if "add_prefix_space" in (tree[step] or {}):
                    tree[step]["add_prefix_space"] = True
            self._of_words = tokenizers.Tokenizer.from_str(json.dumps(tree))
        return self._of_words

    @property
    def adds_prefix_space(self) -> bool:
        """Whether a space is put before every text that has none."""
        return bool(getattr(self._tokenizer.pre_tokenizer, "add_prefix_space", False))

    def readable(self, text: Text | list[str], *, cut: bool | None = None) -> Any:
        """Return of a text, a pair or a list of words what is to be tokenized.

        Where a text is cut, that is no more of it than can change its first tokens, so that a text
        of 10 MB costs little more than one of 10 kB.

        Args:
            text: what is to be answered.
            cut: only the first `max_length` tokens are read; None, where `truncation` says so.

        Raises:
            InputError: what is to be tokenized holds half of a surrogate pair, which is no
                character.
        """
        if not (self._cuts if cut is None else cut) or isinstance(text, list):
            return self.check(text)
        try:
            if isinstance(text, str):
                return self.check(self._clipper.clip(text))
            return self.check(self._clipper.clip_pair(*text))
        except UnicodeEncodeError as error:
            raise InputError(_SURROGATE) from error

    def check(self, text: Text | list[str]) -> Any:
        """Return a text, a pair of texts or a list of words that can be tokenized.

        Raises:
            InputError: it holds half of a surrogate pair, which is no character.
        """
        try:
            for part in (text,) if isinstance(text, str) else text:
                part.encode()
        except UnicodeEncodeError as error:
            raise InputError(_SURROGATE) from error
        return text

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = False) -> str:
        """Turn token ids back into text, as the transformers tokenizer of this checkpoint does."""
        text = str(self._tokenizer.decode(ids, skip_special_tokens=skip_special_tokens))
        if self._cleans_up:
            for found, better in _CLEAN_UP:
                text = text.replace(found, better)
        return text

    def join(self, tokens: Sequence[str]) -> str:
        """Turn vocabulary entries into text, special ones as they are spelled."""
        return str(self._decoder.decode(list(tokens)))

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
        if len(rows) == 1:
            alone = np.array(rows, dtype=np.int64)
            return alone, np.ones_like(alone)
        ids = np.full((len(rows), longest), self.pad_token_id, dtype=np.int64)
        mask = np.zeros((len(rows), longest), dtype=np.int64)
        for index, row in enumerate(rows):
            ids[index, : len(row)] = row
            mask[index, : len(row)] = 1
        return ids, mask


def _max_length(settings: dict[str, Any], config: ModelConfig) -> int:
    # transformers truncates to model_max_length, a huge number where nobody set it.
    limit = settings.get("model_max_length")
    if not isinstance(limit, int) or limit < SHORTEST:
        return config.max_length
    return min(config.max_length, limit)


def _special(settings: dict[str, Any], name: str, default: str, folder: Path) -> str:
    # tokenizer_config.json gives a special token as a string, or as an object with its content.
    token = settings.get(name)
    content = token.get("content") if isinstance(token, dict) else token
    if token is None or content == "":
        return default
    if not isinstance(content, str):
        raise ArtifactError(
            f"{folder / layout.TOKENIZER_CONFIG}: {name} must be a string, or an object whose "
            f"content is one, found {shown(token)}"
        )
    return content
