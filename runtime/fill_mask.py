"""Fill-mask: the most probable tokens for each mask of a text."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import tokenizers
from numpy.typing import NDArray

from distilroberta.runtime.artifact import Artifact
from distilroberta.runtime.errors import ArtifactError, InputError
from distilroberta.runtime.pipeline import Pipeline, check_batch_size, softmax

_TOP_K = 5


class FillMaskPipeline(Pipeline):
    """Fills masks, with the results of the transformers pipeline of the same name."""

    task = "fill-mask"

    def __init__(
        self,
        artifact: Artifact,
        *,
        variant: str = "auto",
        provider: str = "auto",
        threads: int | None = None,
        top_k: int = _TOP_K,
        targets: str | Sequence[str] | None = None,
        batch_size: int = 1,
    ) -> None:
        """Load the pipeline. `top_k`, `targets` and `batch_size` are the defaults of a call."""
        super().__init__(artifact, variant=variant, provider=provider, threads=threads)
        self._check_classes("vocab_size", self.config.vocab_size)
        if self.tokenizer.mask_token_id is None:
            raise ArtifactError(
                f"{artifact.path}: the tokenizer has no {self.tokenizer.mask_token}; build it again"
            )
        self._check_top_k(top_k)
        self._target_ids(targets)
        check_batch_size(batch_size)
        self._defaults = {"top_k": top_k, "targets": targets, "batch_size": batch_size}

    def __call__(
        self,
        inputs: str | Iterable[str],
        *,
        top_k: int | None = None,
        targets: str | Sequence[str] | None = None,
        batch_size: int | None = None,
    ) -> Any:
        """Fill the masks of one text, or of many.

        Args:
            inputs: a text; a list of texts; or any other iterable of texts, which is answered
                lazily.
            top_k: how many tokens to return for a mask, 5 unless said otherwise.
            targets: score these words alone. One that is no vocabulary entry (mind the leading
                space: " capital") counts as its first token, with a warning.
            batch_size: how many texts go through the graph at once. INT8 scales its activations
                by the batch, so only 1, the default, makes an answer independent of its
                neighbours.

        Returns:
            For a text with one mask a list of `{"score", "token", "token_str", "sequence"}`, best
            first; for one with several masks such a list for each, in order. For a list of texts
            a list of these (for a list of one text its one answer, as transformers has it), for
            another iterable an iterator over them.

        Raises:
            InputError: an input is no text, has no mask, or lost one to truncation; a parameter
                can't be used.
        """
        ids = self._target_ids(self._chosen("targets", targets))
        count = self._check_top_k(self._chosen("top_k", top_k))
        size = self._chosen("batch_size", batch_size)

        def decode(encoding: tokenizers.Encoding, logits: NDArray[np.float32]) -> Any:
            return self._decode(encoding, logits, count, ids)

        result = self._dispatch(inputs, decode, size)
        return result[0] if isinstance(inputs, list) and len(inputs) == 1 else result

    def _chosen(self, name: str, value: Any) -> Any:
        return self._defaults[name] if value is None else value

    def _check_top_k(self, top_k: Any) -> int:
        most = self.config.vocab_size
        if not isinstance(top_k, int) or isinstance(top_k, bool) or not 1 <= top_k <= most:
            raise InputError(f"top_k must be a whole number from 1 to {most}, found {top_k!r}")
        return top_k

    def _target_ids(self, targets: str | Sequence[str] | None) -> NDArray[np.int64] | None:
        if targets is None:
            return None
        ids: list[int] = []
        for target in self._words(targets):
            index = self.tokenizer.token_to_id(target)
            if index is None:
                index = self.tokenizer.first_token(target)
                if index is None:
                    warnings.warn(f"target {target!r} has no token and is left out", stacklevel=3)
                    continue
                token = self.tokenizer.id_to_token(index)
                warnings.warn(
                    f"target {target!r} is no vocabulary entry; {token!r} is scored in its place",
                    stacklevel=3,
                )
            ids.append(index)
        if not ids:
            raise InputError("targets holds no word that can be scored: give at least one")
        return np.array(list(dict.fromkeys(ids)), dtype=np.int64)

    def _words(self, targets: Any) -> list[str]:
        alone = isinstance(targets, str) or not isinstance(targets, Iterable)
        words = [targets] if alone else list(targets)
        for word in words:
            if not isinstance(word, str):
                raise InputError(f"targets must be words, found {word!r}")
            try:
                self.tokenizer.check(word)
            except InputError as error:
                raise InputError(f"target {word!r} {error}") from error
        return words

    def _text(self, item: Any) -> str:
        if not isinstance(item, str):
            raise InputError(f"must be a string, found {type(item).__name__}")
        return item

    def _check(self, encoding: tokenizers.Encoding) -> None:
        mask = self.tokenizer.mask_token
        if any(self.tokenizer.mask_token_id in cut.ids for cut in encoding.overflowing):
            raise InputError(
                f"a {mask} lies beyond the first {self.tokenizer.max_length} tokens and would be "
                "cut off: shorten the text"
            )
        if not self._rows(encoding):
            raise InputError(f"has no {mask}: put {mask} where a word is to be filled in")

    def _rows(self, encoding: tokenizers.Encoding) -> int:
        return int(encoding.ids.count(self.tokenizer.mask_token_id))

    def _decode(
        self,
        encoding: tokenizers.Encoding,
        logits: NDArray[np.float32],
        top_k: int,
        targets: NDArray[np.int64] | None,
    ) -> Any:
        # logits: (masks, vocabulary). The softmax is over the whole vocabulary, targets or not.
        scores = softmax(logits)
        if targets is not None:
            scores = scores[:, targets]
        best = _largest(scores, min(top_k, scores.shape[1]))
        ids = list(encoding.ids)
        mask = self.tokenizer.mask_token_id
        places = [place for place, index in enumerate(ids) if index == mask]
        alone = len(places) == 1
        filled = []
        for place, row, columns in zip(places, scores, best, strict=True):
            tokens = columns if targets is None else targets[columns]
            pairs = zip(tokens.tolist(), row[columns].tolist(), strict=True)
            filled.append([self._candidate(ids, place, *pair, alone) for pair in pairs])
        return filled[0] if alone else filled

    def _candidate(
        self, ids: list[int], place: int, token: int, score: float, skip_special_tokens: bool
    ) -> dict[str, Any]:
        # With several masks the special tokens stay, or the other masks would be lost.
        sequence = [*ids[:place], token, *ids[place + 1 :]]
        sequence = [index for index in sequence if index != self.tokenizer.pad_token_id]
        return {
            "score": score,
            "token": token,
            "token_str": self.tokenizer.decode([token]),
            "sequence": self.tokenizer.decode(sequence, skip_special_tokens=skip_special_tokens),
        }


def _largest(scores: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    # (rows, columns) -> the columns of the `count` largest, best first. Sorting only what was
    # partitioned off: a full sort of 50,265 scores costs more than the rest of decoding.
    if count < scores.shape[1]:
        top = np.argpartition(scores, -count, axis=1)[:, -count:]
    else:
        top = np.broadcast_to(np.arange(count), scores.shape)
    order = np.argsort(-np.take_along_axis(scores, top, axis=1), axis=1, kind="stable")
    return np.asarray(np.take_along_axis(top, order, axis=1), dtype=np.int64)
