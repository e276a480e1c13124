"""Fill-mask: the most probable tokens for each mask of a text."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tokenizers
from numpy.typing import NDArray

from distilroberta.runtime.artifact import Artifact
from distilroberta.runtime.checks import items, plain, shown, whole
from distilroberta.runtime.errors import ArtifactError, InputError
from distilroberta.runtime.tasks.cutting import always_cuts, truncation_of
from distilroberta.runtime.tasks.pipeline import Pipeline, Request

_TOP_K = 5
_KWARGS = "tokenizer_kwargs"


class _Call(NamedTuple):
    top_k: int
    targets: NDArray[np.int64] | None


class FillMaskPipeline(Pipeline):
    """Fills masks, with the results of the transformers pipeline of the same name."""

    task = "fill-mask"

    def __init__(
        self,
        artifact: Artifact,
        *,
        variant: str = "auto",
        provider: Any = "auto",
        threads: int | None = None,
        top_k: int = _TOP_K,
        targets: str | Iterable[str] | None = None,
        truncation: bool | str | None = None,
        tokenizer_kwargs: Mapping[str, Any] | None = None,
        batch_size: int | None = None,
    ) -> None:
        """Load the pipeline. The arguments from `top_k` on are the defaults of a call."""
        # Read once: an iterator is empty afterwards.
        words = None if targets is None else _listed(targets)
        super().__init__(
            artifact,
            variant=variant,
            provider=provider,
            threads=threads,
            batch_size=batch_size,
            top_k=top_k,
            targets=words,
            truncation=truncation,
            tokenizer_kwargs=tokenizer_kwargs,
        )
        self._check_classes("vocab_size", self.config.vocab_size)
        if self.tokenizer.mask_token_id is None:
            raise ArtifactError(
                f"{artifact.path}: the tokenizer has no {self.tokenizer.mask_token}; build it again"
            )
        self._check_top_k(top_k)
        self._target_ids(words)
        always_cuts(truncation_of(truncation, _KWARGS, tokenizer_kwargs))
        self._top_k, self._targets = top_k, words

    def __call__(
        self,
        inputs: str | Iterable[str],
        *,
        top_k: int | None = None,
        targets: str | Iterable[str] | None = None,
        truncation: bool | str | None = None,
        tokenizer_kwargs: Mapping[str, Any] | None = None,
        batch_size: int | None = None,
    ) -> Any:
        """Fill the masks of one text, or of many.

        Args:
            inputs: a text; a list of texts; or any other iterable of texts, which is answered
                lazily.
            top_k: how many tokens to return for a mask, 5 unless said otherwise.
            targets: score these words alone. One that is no vocabulary entry (mind the leading
                space: " capital") counts as its first token, with a warning.
            truncation: True, `longest_first` or `only_first`. Has no effect: a text that is too
                long for the model is always cut.
            tokenizer_kwargs: a mapping that may hold `truncation`, and nothing else.
            batch_size: how many texts go through the graph at once; None packs texts of about the
                same length, which is fastest.

        Returns:
            For a text with one mask a list of `{"score", "token", "token_str", "sequence"}`, best
            first; for one with several masks such a list for each, in order. For a list of texts
            a list of these (for a list of one text its one answer, as transformers has it), for
            another iterable an iterator over them.

        Raises:
            InputError: an input is no text, has no mask, or lost one to truncation; a parameter
                can't be used.
        """
        always_cuts(truncation_of(truncation, _KWARGS, tokenizer_kwargs))
        call = _Call(
            self._check_top_k(self._top_k if top_k is None else top_k),
            self._target_ids(self._targets if targets is None else targets),
        )
        result = self._dispatch(inputs, call, batch_size)
        return result[0] if isinstance(inputs, list) and len(inputs) == 1 else result

    def _check_top_k(self, top_k: Any) -> int:
        return whole("top_k", top_k, 1, self.config.vocab_size)

    def _target_ids(self, targets: str | Iterable[str] | None) -> NDArray[np.int64] | None:
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
        words = _listed(targets)
        for word in words:
            if not isinstance(word, str):
                raise InputError(f"targets must be words, found {shown(word)}")
            try:
                self.tokenizer.check(word)
            except InputError as error:
                raise InputError(f"target {word!r} {error}") from error
        return [plain(word) for word in words]

    def _texts(self, item: Any, call: _Call) -> Sequence[str]:
        if not isinstance(item, str):
            raise InputError(f"must be a string, found {type(item).__name__}")
        return (item,)

    def _request(
        self, texts: Sequence[str], encodings: Sequence[tokenizers.Encoding], call: _Call
    ) -> Request:
        mask, index = self.tokenizer.mask_token, self.tokenizer.mask_token_id
        ids = encodings[0].ids
        masks = ids.count(index)
        # Every literal mask becomes a token, whatever stands around it.
        if len(ids) == self.tokenizer.max_length and texts[0].count(mask) > masks:
            raise InputError(
                f"a {mask} lies beyond the first {self.tokenizer.max_length} tokens and would be "
                "cut off: shorten the text"
            )
        if not masks:
            raise InputError(f"has no {mask}: put {mask} where a word is to be filled in")
        return Request([ids], None)

    def _split(
        self, outputs: NDArray[np.float32], rows: Sequence[Sequence[int]]
    ) -> Iterator[NDArray[np.float32]]:
        # outputs: (masks, vocabulary), in reading order over the batch
        start = 0
        for row in rows:
            end = start + row.count(self.tokenizer.mask_token_id)
            yield outputs[start:end]
            start = end

    def _reduce(self, request: Request, row: int, output: NDArray[np.float32], call: _Call) -> Any:
        # output: (masks, vocabulary)
        ids = list(request.rows[row])
        mask = self.tokenizer.mask_token_id
        places = [place for place, index in enumerate(ids) if index == mask]
        alone = len(places) == 1
        filled = []
        for place, logits in zip(places, output, strict=True):
            pairs = zip(*_best(logits, call), strict=True)
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


def _listed(targets: Any) -> list[Any]:
    words = None if isinstance(targets, str) else items(targets)
    return [targets] if words is None else words


def _best(logits: NDArray[np.float32], call: _Call) -> tuple[list[int], list[float]]:
    """Return the best tokens and their probabilities, best first.

    The softmax is over the whole vocabulary, targets or not, but only the best are divided.
    """
    highest = logits.max()
    total = np.exp(logits - highest).sum()
    if call.targets is None:
        tokens = _largest(logits, call.top_k)
    else:
        scored = logits[call.targets]
        tokens = call.targets[_largest(scored, min(call.top_k, len(scored)))]
    return tokens.tolist(), (np.exp(logits[tokens] - highest) / total).tolist()


def _largest(values: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    # Sorting only what was partitioned off: a full sort of a vocabulary takes longer than all else.
    top = np.argpartition(values, -count)[-count:] if count < len(values) else np.arange(count)
    return top[np.argsort(-values[top], kind="stable")]
