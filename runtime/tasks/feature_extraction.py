"""Feature extraction: the hidden states of a text's tokens, or one vector for the text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tokenizers
from numpy.typing import NDArray

from distilroberta.runtime.artifact import Artifact
from distilroberta.runtime.checks import flag, shown
from distilroberta.runtime.errors import InputError
from distilroberta.runtime.tasks.cutting import cuts, truncation_of
from distilroberta.runtime.tasks.pipeline import Pipeline, Request

_Array = NDArray[np.float32]

# (tokens, hidden) -> (hidden,)
_POOLINGS: dict[str, Callable[[_Array], _Array]] = {
    "mean": lambda states: states.mean(axis=0),
    "cls": lambda states: states[0].copy(),  # not a view, which would keep all tokens
}
# The least length a vector is divided by, that of `torch.nn.functional.normalize`.
_SHORTEST = 1e-12
# `pooling=None` asks for every token, so "not given" needs a value of its own.
_NOT_GIVEN: Any = object()
_KWARGS = "tokenize_kwargs"


class _Vectors:
    """The vectors of a list's texts, put in their place as soon as they are there."""

    def __init__(self, count: int, width: int | str) -> None:
        # Of a graph that was loaded it is a number, which onnxruntime infers from the weights.
        self.array = np.empty((count, int(width)), dtype=np.float32)
        self._filled = 0

    def add(self, vector: _Array) -> None:
        self.array[self._filled] = vector
        self._filled += 1


# Texts that are read before they are answered, where an answer is all hidden states.
_WINDOW = 8


class _Call(NamedTuple):
    cuts: bool | None  # None where nothing was said: they are cut
    return_tensors: bool
    pooling: str | None
    normalize: bool
    vectors: _Vectors | None = None


class FeatureExtractionPipeline(Pipeline):
    """Gives hidden states, as the transformers pipeline of the same name, or pooled vectors."""

    task = "feature-extraction"

    def __init__(
        self,
        artifact: Artifact,
        *,
        variant: str = "auto",
        provider: Any = "auto",
        threads: int | None = None,
        truncation: bool | str | None = None,
        tokenize_kwargs: Mapping[str, Any] | None = None,
        return_tensors: bool = False,
        pooling: str | None = None,
        normalize: bool = False,
        batch_size: int | None = None,
    ) -> None:
        """Load the pipeline. The arguments from `truncation` on are the defaults of a call."""
        super().__init__(
            artifact,
            variant=variant,
            provider=provider,
            threads=threads,
            batch_size=batch_size,
            truncation=truncation,
            tokenize_kwargs=tokenize_kwargs,
            return_tensors=return_tensors,
            pooling=pooling,
            normalize=normalize,
        )
        self._width = artifact.variant(self.variant).outputs[0].shape[-1]
        self._cuts = cuts(truncation_of(truncation, _KWARGS, tokenize_kwargs))
        self._return_tensors = flag("return_tensors", return_tensors)
        self._pooling = _pooling(pooling)
        self._normalize = flag("normalize", normalize)
        _check_normalize(self._pooling, self._normalize)

    def __call__(
        self,
        inputs: str | Iterable[str],
        *,
        truncation: bool | str | None = None,
        tokenize_kwargs: Mapping[str, Any] | None = None,
        return_tensors: bool | None = None,
        pooling: str | None = _NOT_GIVEN,
        normalize: bool | None = None,
        batch_size: int | None = None,
    ) -> Any:
        """Give the features of one text, or of many.

        Args:
            inputs: a text; a list of texts; or any other iterable of texts, which is answered
                lazily.
            truncation: a text that is too long for the model is cut (None, True, `longest_first`,
                `only_first`), or refused (False, `do_not_truncate`).
            tokenize_kwargs: a mapping that may hold `truncation`, and nothing else.
            return_tensors: give NumPy arrays in place of nested lists, where transformers gives
                those of PyTorch.
            pooling: make one vector of a text's tokens: `mean` is their mean, `<s>` and `</s>`
                among them, as in sentence-transformers, and no padding; `cls` is the one of `<s>`.
                None gives every token.
            normalize: give pooled vectors the Euclidean length 1. A shorter one than 1e-12 is
                divided by that.
            batch_size: how many texts go through the graph at once; None packs texts of about the
                same length, which is fastest. No padding is given, which transformers does.

        Returns:
            Without `pooling`, for a text, nested lists of floats, [1][tokens][hidden], or with
            `return_tensors` a float32 array (1, tokens, hidden); for a list of texts a list of
            these, for another iterable an iterator.

            With `pooling`, float32 arrays, whatever `return_tensors`: for a text (hidden,), for a
            list of n texts one array (n, hidden), for another iterable an iterator over (hidden,).
            For a list, what is held of finished texts is this array and no more.

        Raises:
            InputError: an input is no text, or is too long and must not be cut; a parameter can't
                be used.
        """
        asked = cuts(truncation_of(truncation, _KWARGS, tokenize_kwargs))
        call = _Call(
            cuts=self._cuts if asked is None else asked,
            return_tensors=self._return_tensors
            if return_tensors is None
            else flag("return_tensors", return_tensors),
            pooling=self._pooling if pooling is _NOT_GIVEN else _pooling(pooling),
            normalize=self._normalize if normalize is None else flag("normalize", normalize),
        )
        _check_normalize(call.pooling, call.normalize)
        if call.pooling is None or not isinstance(inputs, list):
            return self._dispatch(inputs, call, batch_size)
        vectors = _Vectors(len(inputs), self._width)
        self._dispatch(inputs, call._replace(vectors=vectors), batch_size)
        return vectors.array

    def _window(self, call: _Call) -> int:
        # Hidden states of a text take megabytes, as nested lists tens of them.
        return super()._window(call) if call.pooling is not None else _WINDOW

    def _texts(self, item: Any, call: _Call) -> Sequence[str]:
        if not isinstance(item, str):
            raise InputError(f"must be a string, found {type(item).__name__}")
        return (item,)

    def _request(
        self, texts: Sequence[str], encodings: Sequence[tokenizers.Encoding], call: _Call
    ) -> Request:
        encoding = encodings[0]
        if encoding.overflowing and call.cuts is False:
            raise InputError(
                f"has more tokens than the {self.tokenizer.max_length} that the model takes: "
                "shorten it, or leave truncation out, and it is cut"
            )
        return Request([encoding.ids], None)

    def _reduce(self, request: Request, row: int, output: _Array, call: _Call) -> Any:
        # output: (longest of the batch, hidden)
        states = output[: len(request.rows[row])]
        if call.pooling is not None:
            vector = _POOLINGS[call.pooling](states)
            if call.normalize:
                vector /= max(float(np.linalg.norm(vector)), _SHORTEST)
            return vector
        if call.return_tensors:
            return states[None].copy()  # not a view, which would keep the whole batch
        return [states.tolist()]

    def _combine(self, request: Request, reduced: list[Any], call: _Call) -> Any:
        # Called for one text after the other, in order.
        return reduced[0] if call.vectors is None else call.vectors.add(reduced[0])


def _pooling(name: Any) -> str | None:
    if name is None or (isinstance(name, str) and name in _POOLINGS):
        return name
    raise InputError(f"pooling must be None, {' or '.join(_POOLINGS)}, found {shown(name)}")


def _check_normalize(pooling: str | None, normalize: bool) -> None:
    if normalize and pooling is None:
        raise InputError(
            f"normalize is for pooled vectors: choose a pooling, {' or '.join(_POOLINGS)}"
        )
