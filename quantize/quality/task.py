"""What scoring needs of a task: its examples as token ids, and what an output says of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from distilroberta.quantize.quality.metrics import Metrics
from distilroberta.runtime.tasks.tokenizer import Tokenizer

# Texts are tokenized so many at a time: an encoding takes far more memory than its ids.
_ENCODED_AT_ONCE = 1024

Logits = NDArray[np.float32]
Item = TypeVar("Item")


Integers = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Case:
    """One row of a batch: the token ids, (length,), of example number `example`."""

    example: int
    ids: Integers


C = TypeVar("C", bound=Case)


class Tally(ABC, Generic[C]):
    """What one model answered so far."""

    @abstractmethod
    def add(self, batch: Sequence[C], output: Any) -> None:
        """Take in the output of a batch: an array, or a tuple of two for question-answering."""

    @abstractmethod
    def metrics(self) -> Metrics:
        """Score the answers to all cases.

        Raises:
            ValueError: they have no score.
        """


class Task(ABC, Generic[C]):
    """The examples of a task, ready for a model of it.

    `cases` are the rows to run, `counts` how many there are of what, for the report. `main_metric`
    is the metric that a loss is stated in, None where the examples have no labels.
    """

    cases: Sequence[C]
    counts: Mapping[str, int]
    main_metric: str | None

    @abstractmethod
    def rows(self, batch: Sequence[C], output: Any) -> list[Logits]:
        """Return the logits that are read, as blocks of (rows, classes)."""

    @abstractmethod
    def tally(self) -> Tally[C]:
        """Return a tally of a model that has answered nothing yet."""


def chunks(items: Sequence[Item], size: int = _ENCODED_AT_ONCE) -> Iterator[Sequence[Item]]:
    """Yield a sequence in pieces of `size`, the last one shorter."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def integers(values: Sequence[Any]) -> Integers:
    """Return numbers as an array: as Python's objects they take several times the memory."""
    return np.array(values, dtype=np.int32)


def word_ids(tokenizer: Tokenizer, text: str) -> list[int]:
    """Return the token ids of a text without `<s>` and `</s>`."""
    encoding = tokenizer.encode([text])[0]
    pairs = zip(encoding.ids, encoding.special_tokens_mask, strict=True)
    return [index for index, special in pairs if not special]
