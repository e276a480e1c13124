"""Calibration texts as a graph takes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from distilroberta.quantize.recipe import Feed
from distilroberta.runtime.errors import InputError
from distilroberta.runtime.tasks.tokenizer import Text, Tokenizer

# As in the training of masked language models (Devlin et al. 2019,
# https://arxiv.org/abs/1810.04805, section 3.1).
_MASKED = 0.15
_SEED = 0


class Feeds:
    """One batch for each text, of that text alone, so that there is no padding to observe.

    For fill-mask some of its tokens are masked, at least one: the same ones in every pass.
    """

    def __init__(self, tokenizer: Tokenizer, task: str, texts: Iterable[Text]) -> None:
        """Take texts that can be iterated over again.

        Args:
            tokenizer: the model's.
            task: its task.
            texts: the texts, see `calibration_text`.
        """
        self._tokenizer = tokenizer
        self._texts = texts
        self._mask_token_id = tokenizer.mask_token_id if task == "fill-mask" else None

    def __iter__(self) -> Iterator[Feed]:
        """Yield int64 `input_ids` and `attention_mask`, (1, length) both.

        Raises:
            InputError: a text holds half of a surrogate pair, or there is no text.
        """
        random = np.random.default_rng(_SEED)
        for number, text in enumerate(self._texts, 1):
            try:
                encoding = self._tokenizer.encode([self._tokenizer.check(text)])[0]
            except InputError as error:
                raise InputError(f"calibration text {number} {error}") from error
            ids = np.array([encoding.ids], dtype=np.int64)
            if self._mask_token_id is not None:
                ordinary = np.flatnonzero(np.array(encoding.special_tokens_mask) == 0)
                if not len(ordinary):
                    continue  # there is nothing to mask
                ids[0, _chosen(ordinary, random)] = self._mask_token_id
            yield {"input_ids": ids, "attention_mask": np.ones_like(ids)}


def _chosen(places: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
    chosen = places[random.random(len(places)) < _MASKED]
    return chosen if len(chosen) else random.choice(places, size=1)
