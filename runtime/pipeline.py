"""What all pipelines share: taking in texts, batching them, keeping their order."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import tokenizers
from numpy.typing import NDArray

from distilroberta.runtime import layout
from distilroberta.runtime.artifact import Artifact
from distilroberta.runtime.errors import InputError
from distilroberta.runtime.model_config import ModelConfig
from distilroberta.runtime.tokenizer import Text, Tokenizer

# Iterable, and still one input (bytes: a wrong one).
_SINGLE = (str, bytes, Mapping, tuple)

# Turns one text's encoding and its logits, (rows, classes), into what the caller gets.
Decode = Callable[[tokenizers.Encoding, NDArray[np.float32]], Any]


class Pipeline(ABC):
    """A task on a loaded artifact. It may be called from many threads at once."""

    task: ClassVar[str]

    def __init__(
        self, artifact: Artifact, *, variant: str, provider: str, threads: int | None
    ) -> None:
        """Load the tokenizer and a variant's graph. See `pipeline` for the arguments.

        Raises:
            ArtifactError: a file can't be loaded or does not fit the others.
            InputError: the variant is not there, or `threads` is no positive number.
            ProviderError: the provider is unknown or can't start.
        """
        self.artifact = artifact
        self.config = ModelConfig.read(artifact.file(layout.CONFIG))
        artifact.file(layout.TOKENIZER_CONFIG)
        self.tokenizer = Tokenizer(artifact.file(layout.TOKENIZER).parent, self.config)
        self.session = artifact.session(variant, provider=provider, threads=threads)

    @property
    def provider(self) -> str:
        """The execution provider that runs the graph: `cpu`, `cuda` or `tensorrt`."""
        return self.session.provider

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.artifact!r}, provider={self.provider!r})"

    @abstractmethod
    def _text(self, item: Any) -> Text:
        """Return the text of one input.

        Raises:
            InputError: it is none.
        """

    def _check(self, encoding: tokenizers.Encoding) -> None:
        """Refuse a tokenized text that this task can't answer.

        Raises:
            InputError: says why.
        """

    @abstractmethod
    def _rows(self, encoding: tokenizers.Encoding) -> int:
        """Return how many rows of the logits belong to a text."""

    def _dispatch(self, inputs: Any, decode: Decode, batch_size: Any) -> Any:
        """Answer one input, a list of them at once, or any other iterable lazily."""
        if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size < 1:
            raise InputError(f"batch_size must be a whole number from 1 up, found {batch_size!r}")
        if isinstance(inputs, list):
            return self._answer(inputs, decode, batch_size)
        if isinstance(inputs, Iterable) and not isinstance(inputs, _SINGLE):
            return self._batches(iter(inputs), decode, batch_size)
        return self._answer([inputs], decode, 1)[0]

    def _batches(self, items: Iterator[Any], decode: Decode, batch_size: int) -> Iterator[Any]:
        start = 0
        while batch := list(itertools.islice(items, batch_size)):
            yield from self._run(self._encode(batch, start), decode)
            start += len(batch)

    def _answer(self, items: Sequence[Any], decode: Decode, batch_size: int) -> list[Any]:
        """Answer a list of inputs. All are checked before the first one is run."""
        encodings = self._encode(items, 0)
        starts = range(0, len(items), batch_size)
        batches = (encodings[start : start + batch_size] for start in starts)
        return [result for batch in batches for result in self._run(batch, decode)]

    def _encode(self, items: Sequence[Any], start: int) -> list[tokenizers.Encoding]:
        problems: list[str] = []
        texts = self._each(self._text, items, start, problems)
        _refuse(problems)
        encodings = self.tokenizer.encode(texts)
        self._each(self._check, encodings, start, problems)
        _refuse(problems)
        return encodings

    @staticmethod
    def _each(
        step: Callable[[Any], Any], items: Sequence[Any], start: int, problems: list[str]
    ) -> list[Any]:
        results = []
        for index, item in enumerate(items, start):
            try:
                results.append(step(item))
            except InputError as error:
                problems.append(f"text {index}: {error}")
        return results

    def _run(self, encodings: Sequence[tokenizers.Encoding], decode: Decode) -> Iterator[Any]:
        ids, mask = self.tokenizer.pad([encoding.ids for encoding in encodings])
        logits = self.session.run(ids, mask)
        row = 0
        for encoding in encodings:
            rows = self._rows(encoding)
            yield decode(encoding, logits[row : row + rows])
            row += rows


_MOST_PROBLEMS_SHOWN = 10


def _refuse(problems: list[str]) -> None:
    if problems:
        shown = problems[:_MOST_PROBLEMS_SHOWN]
        more = len(problems) - len(shown)
        raise InputError("; ".join(shown) + (f"; and {more} more" if more else ""))


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the softmax over the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True), dtype=np.float32)
