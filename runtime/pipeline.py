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
from distilroberta.runtime.errors import ArtifactError, InputError
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

    def _check_classes(self, field: str, count: int) -> None:
        if self.session.classes != count:
            raise ArtifactError(
                f"{self.artifact.path}: {field} in config.json is for {count} classes, the graph "
                f"has {self.session.classes}: they belong to different models"
            )

    @property
    def provider(self) -> str:
        """The execution provider that runs the graph: `cpu`, `cuda` or `tensorrt`."""
        return self.session.provider

    @property
    def variant(self) -> str:
        """The variant that answers, such as `fp32` or `int8`."""
        return self.session.variant

    def __repr__(self) -> str:
        chosen = f"variant={self.variant!r}, provider={self.provider!r}"
        return f"{type(self).__name__}({self.artifact!r}, {chosen})"

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
        check_batch_size(batch_size)
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
        # What passes one check goes on to the next, so that an error names every bad input.
        problems: dict[int, str] = {}
        texts = _passing(self._text, enumerate(items, start), problems)
        texts = _passing(self.tokenizer.check, texts.items(), problems)
        encodings = self.tokenizer.encode(list(texts.values()))
        _passing(self._check, zip(texts, encodings, strict=True), problems)
        _refuse(problems)
        return encodings

    def _run(self, encodings: Sequence[tokenizers.Encoding], decode: Decode) -> Iterator[Any]:
        ids, mask = self.tokenizer.pad([encoding.ids for encoding in encodings])
        logits = self.session.run(ids, mask)
        row = 0
        for encoding in encodings:
            rows = self._rows(encoding)
            yield decode(encoding, logits[row : row + rows])
            row += rows


def check_batch_size(size: Any) -> int:
    """Return a batch size that can be used.

    Raises:
        InputError: it is not a positive whole number.
    """
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise InputError(f"batch_size must be a whole number from 1 up, found {size!r}")
    return size


_MOST_PROBLEMS_SHOWN = 10


def _passing(
    step: Callable[[Any], Any], numbered: Iterable[tuple[int, Any]], problems: dict[int, str]
) -> dict[int, Any]:
    results = {}
    for index, item in numbered:
        try:
            results[index] = step(item)
        except InputError as error:
            problems[index] = str(error)
    return results


def _refuse(problems: dict[int, str]) -> None:
    if problems:
        shown = [f"text {index}: {problems[index]}" for index in sorted(problems)]
        more = len(shown) - _MOST_PROBLEMS_SHOWN
        listed = "; ".join(shown[:_MOST_PROBLEMS_SHOWN])
        raise InputError(listed + (f"; and {more} more" if more > 0 else ""))


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the softmax over the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True), dtype=np.float32)
