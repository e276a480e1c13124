"""Sentences in words: the label of a word is that of its first token.

Words are tokenized with a space before each, the first one too, as transformers does it for RoBERTa
(`is_split_into_words` with `add_prefix_space`), which is what such models are trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import tokenizers

from distilroberta.quantize.quality import metrics
from distilroberta.quantize.quality.examples import TokensExample
from distilroberta.quantize.quality.metrics import Metrics
from distilroberta.quantize.quality.task import (
    Case,
    Integers,
    Logits,
    Tally,
    Task,
    chunks,
    integers,
)


@dataclass(frozen=True, eq=False)
class WordsCase(Case):
    """A sentence: the place of each word's first token and its label id, both (words,)."""

    places: Integers
    labels: Integers


class TokenClassification(Task[WordsCase]):
    """Sentences with a label for each word.

    Words behind the model's length have no answer: they are left out and counted. Where labels do
    not mark spans, as parts of speech do not, the share of right words is the main metric.
    """

    def __init__(
        self,
        examples: Sequence[TokensExample],
        tokenizer_file: Path,
        max_length: int,
        names: Sequence[str],
    ) -> None:
        """Tokenize the sentences. `names` are the model's labels, by id."""
        tokenizer = tokenizers.Tokenizer.from_file(str(tokenizer_file))
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_length)
        self._names = names
        self.cases: list[WordsCase] = []
        for chunk in chunks(examples):
            sentences = [[f" {word}" for word in example.words] for example in chunk]
            encodings = tokenizer.encode_batch(sentences, is_pretokenized=True)
            for example, encoding in zip(chunk, encodings, strict=True):
                first = _first_tokens(encoding)
                labels = integers([example.labels[word] for word in first])
                places = integers(list(first.values()))
                ids = integers(encoding.ids)
                self.cases.append(WordsCase(len(self.cases), ids, places, labels))
        words = sum(len(example.words) for example in examples)
        scored = sum(len(case.labels) for case in self.cases)
        self.counts = {
            "sentences": len(examples),
            "words": scored,
            "words_cut": words - scored,
        }
        self.main_metric = "f1" if metrics.has_spans(names) else "accuracy"

    def rows(self, batch: Sequence[WordsCase], output: Logits) -> list[Logits]:
        """Return the logits of the words' first tokens, from (batch, length, labels)."""
        return [row[case.places] for row, case in zip(output, batch, strict=True)]

    def tally(self) -> _Answers:
        """Return a tally of answers."""
        return _Answers(self, self._names)


def _first_tokens(encoding: tokenizers.Encoding) -> dict[int, int]:
    # -> the place of each word's first token, by the word's number
    first: dict[int, int] = {}
    for place, word in enumerate(encoding.word_ids):
        if word is not None:
            first.setdefault(word, place)
    return first


class _Answers(Tally[WordsCase]):
    def __init__(self, task: TokenClassification, names: Sequence[str]) -> None:
        self._task, self._names = task, names
        self._found: list[list[str]] = []
        self._labels: list[list[str]] = []

    def add(self, batch: Sequence[WordsCase], output: Logits) -> None:
        for case, logits in zip(batch, self._task.rows(batch, output), strict=True):
            self._found.append([self._names[index] for index in np.argmax(logits, axis=1)])
            self._labels.append([self._names[index] for index in case.labels])

    def metrics(self) -> Metrics:
        if self._task.main_metric == "f1":
            return metrics.spans(self._found, self._labels)
        pairs = zip(chain(*self._found), chain(*self._labels), strict=True)
        return {"accuracy": float(np.mean([found == label for found, label in pairs]))}
