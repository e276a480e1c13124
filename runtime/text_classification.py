"""Text classification: the labels of a text or of a pair of texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import tokenizers
from numpy.typing import NDArray

from distilroberta.runtime.artifact import Artifact
from distilroberta.runtime.errors import ArtifactError, InputError
from distilroberta.runtime.pipeline import Pipeline, check_batch_size, softmax
from distilroberta.runtime.tokenizer import Text

_SCORES: dict[str, Callable[[NDArray[np.float32]], NDArray[np.float32]]] = {
    "softmax": softmax,
    "sigmoid": lambda logits: np.asarray(1 / (1 + np.exp(-logits)), dtype=np.float32),
    "none": lambda logits: logits,
}
# `top_k=None` asks for every label, so "not given" needs a value of its own; it is transformers'.
_NOT_GIVEN = ""


class TextClassificationPipeline(Pipeline):
    """Classifies texts, with the results of the transformers pipeline of the same name."""

    task = "text-classification"

    def __init__(
        self,
        artifact: Artifact,
        *,
        variant: str = "auto",
        provider: str = "auto",
        threads: int | None = None,
        top_k: int | str | None = _NOT_GIVEN,
        function_to_apply: str | None = None,
        batch_size: int = 1,
    ) -> None:
        """Load the pipeline. The last three arguments are the defaults of a call."""
        super().__init__(artifact, variant=variant, provider=provider, threads=threads)
        labels = self.config.id2label
        if not labels or sorted(labels) != list(range(len(labels))):
            raise ArtifactError(
                f"{artifact.path}: id2label in config.json must name every label from 0 up, found "
                f"{sorted(labels)}"
            )
        self._check_classes("id2label", len(labels))
        self._top_k = top_k
        self._function_to_apply = function_to_apply
        self._batch_size = check_batch_size(batch_size)
        self._check_top_k(top_k)
        self._check_function(function_to_apply)

    def __call__(
        self,
        inputs: str | Mapping[str, str] | Iterable[str | Mapping[str, str]],
        *,
        top_k: int | str | None = _NOT_GIVEN,
        function_to_apply: str | None = None,
        batch_size: int | None = None,
    ) -> Any:
        """Classify one text, or many.

        Args:
            inputs: a text; a pair as `{"text": ..., "text_pair": ...}`; a list of either; or any
                other iterable of them, which is answered lazily.
            top_k: how many labels to return, best first; None for all.
            function_to_apply: `softmax`, `sigmoid` or `none`. By default none for a regression,
                sigmoid for several labels at once or a single one, otherwise softmax.
            batch_size: how many texts go through the graph at once. INT8 scales its activations
                by the batch, so only 1, the default, makes an answer independent of its
                neighbours.

        Returns:
            Without `top_k` the best `{"label", "score"}` of each text, for a single string in a
            list of one; with `top_k` a list of these for each text. For a list of texts a list,
            for another iterable an iterator.

        Raises:
            InputError: an input is no text or pair, or a parameter can't be used.
        """
        labels = self._check_top_k(self._top_k if top_k == _NOT_GIVEN else top_k)
        function = self._check_function(function_to_apply or self._function_to_apply)
        size = self._batch_size if batch_size is None else batch_size

        def decode(_: tokenizers.Encoding, logits: NDArray[np.float32]) -> Any:
            return self._decode(logits[0], labels, function)

        result = self._dispatch(inputs, decode, size)
        # transformers wraps the answer to a single string unless this very call gives `top_k`.
        return [result] if isinstance(inputs, str) and top_k == _NOT_GIVEN else result

    def _check_top_k(self, top_k: Any) -> int | str | None:
        whole = isinstance(top_k, int) and not isinstance(top_k, bool) and top_k >= 1
        if not (whole or top_k is None or top_k == _NOT_GIVEN):
            raise InputError(f"top_k must be a whole number from 1 up or None, found {top_k!r}")
        return top_k  # type: ignore[no-any-return]

    def _check_function(self, name: str | None) -> str:
        if name is not None:
            if not isinstance(name, str) or name.lower() not in _SCORES:
                raise InputError(
                    f"function_to_apply must be one of {', '.join(_SCORES)}, found {name!r}"
                )
            return name.lower()
        if self.config.problem_type == "regression":
            return "none"
        several_at_once = self.config.problem_type == "multi_label_classification"
        return "sigmoid" if several_at_once or len(self.config.id2label) == 1 else "softmax"

    def _text(self, item: Any) -> Text:
        if isinstance(item, str):
            return item
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
        return text if pair is None else (text, pair)

    def _rows(self, encoding: tokenizers.Encoding) -> int:
        return 1

    def _decode(self, logits: NDArray[np.float32], top_k: int | str | None, function: str) -> Any:
        scores = _SCORES[function](logits)
        ranked = [
            {"label": self.config.id2label[int(index)], "score": float(scores[index])}
            for index in np.argsort(-scores, kind="stable")
        ]
        if top_k == _NOT_GIVEN:
            return ranked[0]
        return ranked if top_k is None else ranked[: int(top_k)]
