"""Text classification: the labels of a text or of a pair of texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tokenizers
from numpy.typing import NDArray

from distilroberta.runtime.artifact import Artifact
from distilroberta.runtime.checks import is_whole, shown, whole
from distilroberta.runtime.errors import InputError
from distilroberta.runtime.tasks.cutting import always_cuts
from distilroberta.runtime.tasks.pipeline import Pipeline, Request
from distilroberta.runtime.tasks.scores import sigmoid, softmax
from distilroberta.runtime.tasks.tokenizer import Text

_SCORES: dict[str, Callable[[NDArray[np.float32]], NDArray[np.float32]]] = {
    "softmax": softmax,
    "sigmoid": sigmoid,
    "none": lambda logits: logits,
}
# `top_k=None` asks for every label, so "not given" needs a value of its own; it is transformers'.
_NOT_GIVEN = ""
# The way in which a pair is cut. `only_first` would cut another.
_WAYS = ("longest_first",)


class _Call(NamedTuple):
    top_k: int | str | None
    function: str


class TextClassificationPipeline(Pipeline):
    """Classifies texts, with the results of the transformers pipeline of the same name."""

    task = "text-classification"

    def __init__(
        self,
        artifact: Artifact,
        *,
        variant: str = "auto",
        provider: Any = "auto",
        threads: int | None = None,
        top_k: int | str | None = _NOT_GIVEN,
        function_to_apply: str | None = None,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        batch_size: int | None = None,
    ) -> None:
        """Load the pipeline. The arguments from `top_k` on are the defaults of a call."""
        super().__init__(
            artifact,
            variant=variant,
            provider=provider,
            threads=threads,
            batch_size=batch_size,
            top_k=top_k,
            function_to_apply=function_to_apply,
            truncation=truncation,
            max_length=max_length,
        )
        self._labels()
        self._top_k = top_k
        self._function_to_apply = function_to_apply
        self._check_top_k(top_k)
        self._check_function(function_to_apply)
        self._check_cuts(truncation, max_length)

    def __call__(
        self,
        inputs: str | Mapping[str, str] | Iterable[str | Mapping[str, str]],
        *,
        top_k: int | str | None = _NOT_GIVEN,
        function_to_apply: str | None = None,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        batch_size: int | None = None,
    ) -> Any:
        """Classify one text, or many.

        Args:
            inputs: a text; a pair as `{"text": ..., "text_pair": ...}`; a list of either; or any
                other iterable of them, which is answered lazily.
            top_k: how many labels to return, best first; None for all.
            function_to_apply: `softmax`, `sigmoid` or `none`. By default none for a regression,
                sigmoid for several labels at once or a single one, otherwise softmax.
            truncation: True or `longest_first`. Has no effect: a text that is too long for the
                model is always cut, and of a pair the longer text first.
            max_length: has no effect, and may not be less than what the model takes, in tokens.
            batch_size: how many texts go through the graph at once; None packs texts of about the
                same length, which is fastest.

        Returns:
            Without `top_k` the best `{"label", "score"}` of each text, for a single string in a
            list of one; with `top_k` a list of these for each text. For a list of texts a list,
            for another iterable an iterator.

        Raises:
            InputError: an input is no text or pair, or a parameter can't be used.
        """
        self._check_cuts(truncation, max_length)
        call = _Call(
            self._check_top_k(self._top_k if _not_given(top_k) else top_k),
            self._check_function(
                self._function_to_apply if function_to_apply is None else function_to_apply
            ),
        )
        result = self._dispatch(inputs, call, batch_size)
        # transformers wraps the answer to a single string unless this very call gives `top_k`.
        return [result] if isinstance(inputs, str) and _not_given(top_k) else result

    def _check_top_k(self, top_k: Any) -> int | str | None:
        if not (is_whole(top_k, 1) or top_k is None or _not_given(top_k)):
            raise InputError(
                f"top_k must be a whole number from 1 up or None, found {shown(top_k)}"
            )
        return top_k  # type: ignore[no-any-return]

    def _check_function(self, name: str | None) -> str:
        if name is not None:
            if not isinstance(name, str) or name.lower() not in _SCORES:
                raise InputError(
                    f"function_to_apply must be one of {', '.join(_SCORES)}, found {shown(name)}"
                )
            return name.lower()
        if self.config.problem_type == "regression":
            return "none"
        several_at_once = self.config.problem_type == "multi_label_classification"
        return "sigmoid" if several_at_once or len(self.config.id2label) == 1 else "softmax"

    def _check_cuts(self, truncation: Any, max_length: Any) -> None:
        always_cuts(truncation, _WAYS)
        most = self.tokenizer.max_length
        if max_length is not None and whole("max_length", max_length, 1) < most:
            raise InputError(
                f"max_length must be at least {most}, to which texts are cut in this task, found "
                f"{max_length}: leave it out"
            )

    def _texts(self, item: Any, call: _Call) -> Sequence[Text]:
        if isinstance(item, str):
            return (item,)
        if not isinstance(item, Mapping):
            raise InputError(
                'must be a string, or a pair as {"text": ..., "text_pair": ...}, found '
                f"{type(item).__name__}"
            )
        unknown = set(item) - {"text", "text_pair"}
        parts = (item.get("text"), item.get("text_pair"))
        if unknown or not all(isinstance(part, str) for part in parts if part is not None):
            raise InputError('a pair has the keys "text" and "text_pair", both strings')
        text, pair = parts
        if text is None:
            raise InputError('a pair has no "text"')
        return (text if pair is None else (text, pair),)

    def _request(
        self, texts: Sequence[Text], encodings: Sequence[tokenizers.Encoding], call: _Call
    ) -> Request:
        return Request([encodings[0].ids], None)

    def _reduce(self, request: Request, row: int, output: NDArray[np.float32], call: _Call) -> Any:
        # output: (labels,)
        scores = _SCORES[call.function](output)
        if _not_given(call.top_k):
            return self._answer(scores, int(scores.argmax()))
        ranked = [
            self._answer(scores, index) for index in np.argsort(-scores, kind="stable").tolist()
        ]
        return ranked if call.top_k is None else ranked[: int(call.top_k)]

    def _answer(self, scores: NDArray[np.float32], index: int) -> dict[str, Any]:
        return {"label": self.config.id2label[index], "score": float(scores[index])}


def _not_given(top_k: Any) -> bool:
    # Of a NumPy array, comparing alone would make another array.
    return isinstance(top_k, str) and top_k == _NOT_GIVEN
