"""Masked texts: the tokens a model puts at the masks, and the word that stood there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from distilroberta.quantize.quality.agreement import log_softmax
from distilroberta.quantize.quality.errors import DataError
from distilroberta.quantize.quality.examples import MaskedExample
from distilroberta.quantize.quality.metrics import Metrics
from distilroberta.quantize.quality.task import (
    Case,
    Logits,
    Tally,
    Task,
    chunks,
    integers,
    word_ids,
)
from distilroberta.runtime.tasks.tokenizer import Tokenizer

_TOP = 5


@dataclass(frozen=True, eq=False)
class MaskedCase(Case):
    """A text with `masks` masks, and the token of the word; None where the word is not one."""

    masks: int
    target: int | None


class FillMask(Task[MaskedCase]):
    """Texts with masks, and where they are known the words.

    A word counts as the tokens it has in this place: with the space before it, unless the mask
    stands at the beginning of the text or behind a character. A word of several tokens is never on
    top, and it is left out of the perplexity.
    """

    def __init__(self, examples: Sequence[MaskedExample], tokenizer: Tokenizer) -> None:
        """Tokenize the texts.

        Raises:
            DataError: a text has no mask, or lost one to truncation, or has a word and not exactly
                one mask.
        """
        self.has_words = examples[0].word is not None
        self._mask_token, self._mask_token_id = tokenizer.mask_token, tokenizer.mask_token_id
        self.cases: list[MaskedCase] = []
        for chunk in chunks(examples):
            encodings = tokenizer.encode([example.text for example in chunk])
            for example, encoding in zip(chunk, encodings, strict=True):
                masks = self._check(example, encoding.ids)
                target = self._target(example, tokenizer)
                ids = integers(encoding.ids)
                self.cases.append(MaskedCase(len(self.cases), ids, masks, target))
        masks = sum(case.masks for case in self.cases)
        self.counts = {"texts": len(examples), "masks": masks}
        if self.has_words:
            several = sum(case.target is None for case in self.cases)
            self.counts["words_of_several_tokens"] = several
        self.main_metric = "top_1" if self.has_words else None

    def _check(self, example: MaskedExample, ids: Sequence[int]) -> int:
        # -> the number of masks
        masks = example.text.count(self._mask_token)
        kept = list(ids).count(self._mask_token_id) if self._mask_token_id is not None else 0
        if not masks or kept != masks:
            raise DataError(
                f"{example.where}: must have {self._mask_token} within the model's length, found "
                f"{kept} of {masks}"
            )
        if example.word is not None and masks != 1:
            raise DataError(
                f"{example.where}: a text with a word must have one {self._mask_token}, found "
                f"{masks}"
            )
        return masks

    def _target(self, example: MaskedExample, tokenizer: Tokenizer) -> int | None:
        if example.word is None:
            return None
        before = example.text[: example.text.index(self._mask_token)]
        space = " " if before[-1:].isspace() else ""
        ids = word_ids(tokenizer, space + example.word)
        return ids[0] if len(ids) == 1 else None

    def rows(self, batch: Sequence[MaskedCase], output: Logits) -> list[Logits]:
        """Return the logits of the masks, (masks, vocabulary), as they are."""
        return [output]

    def tally(self) -> _Answers:
        """Return a tally of answers."""
        return _Answers(has_words=self.has_words)


class _Answers(Tally[MaskedCase]):
    def __init__(self, *, has_words: bool) -> None:
        self._has_words = has_words
        self._ranks: list[float] = []
        self._losses: list[float] = []

    def add(self, batch: Sequence[MaskedCase], output: Logits) -> None:
        if not self._has_words:
            return
        for case, logits in zip(batch, output, strict=True):  # each has one mask
            if case.target is None:
                self._ranks.append(math.inf)
                continue
            self._ranks.append(float((logits > logits[case.target]).sum()))
            exact = log_softmax(logits.astype(np.float64))
            self._losses.append(-float(exact[case.target]))

    def metrics(self) -> Metrics:
        if not self._has_words:
            return {}
        scores = {
            "top_1": float(np.mean([rank < 1 for rank in self._ranks])),
            "top_5": float(np.mean([rank < _TOP for rank in self._ranks])),
        }
        if self._losses:
            scores["perplexity"] = _perplexity(float(np.mean(self._losses)))
        return scores


def _perplexity(loss: float) -> float:
    try:
        return math.exp(loss)
    except OverflowError:
        raise ValueError(f"the mean negative log likelihood of the words is {loss:.0f}") from None
