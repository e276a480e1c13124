"""Token classification: the labels of a text's tokens, words or entities."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tokenizers
from numpy.typing import NDArray

from distilroberta.runtime.artifact import Artifact
from distilroberta.runtime.checks import flag, items, shown, whole
from distilroberta.runtime.errors import InputError
from distilroberta.runtime.tasks import entities, windows
from distilroberta.runtime.tasks.entities import WORD_STRATEGIES, Unit
from distilroberta.runtime.tasks.pipeline import Pipeline, Request
from distilroberta.runtime.tasks.scores import softmax

AGGREGATION_STRATEGIES = ("none", "simple", *WORD_STRATEGIES)
_IGNORED = ("O",)
_DELIMITER = _SPACE = " "

Offsets = Sequence[tuple[int, int]]


class _Call(NamedTuple):
    strategy: str
    ignored: frozenset[str]
    stride: int | None
    split: bool
    delimiter: str
    offsets: Offsets | None


class _Source(NamedTuple):
    sentence: str
    ids: Sequence[int]
    # Of all tokens, in characters of the sentence; and those of each window's first token.
    offsets: Offsets
    firsts: Offsets
    windows: Sequence[range]
    # How many special tokens a row begins with.
    before: int


class TokenClassificationPipeline(Pipeline):
    """Labels tokens, words or entities, with the results of the transformers pipeline."""

    task = "token-classification"
    truncation = None

    def __init__(
        self,
        artifact: Artifact,
        *,
        variant: str = "auto",
        provider: Any = "auto",
        threads: int | None = None,
        aggregation_strategy: str | None = None,
        ignore_labels: Iterable[str] = _IGNORED,
        stride: int | None = None,
        is_split_into_words: bool = False,
        delimiter: str = _DELIMITER,
        batch_size: int | None = None,
    ) -> None:
        """Load the pipeline. All arguments from `aggregation_strategy` on are those of a call."""
        ignored = _check_ignored(ignore_labels)
        super().__init__(
            artifact,
            variant=variant,
            provider=provider,
            threads=threads,
            batch_size=batch_size,
            aggregation_strategy=aggregation_strategy,
            ignore_labels=sorted(ignored),
            stride=stride,
            is_split_into_words=is_split_into_words,
            delimiter=delimiter,
        )
        self._label_names = self._labels()
        self._special_tokens = len(self.tokenizer.encode([""])[0])
        self._defaults = _Call(
            _check_strategy("none" if aggregation_strategy is None else aggregation_strategy),
            ignored,
            self._check_stride(stride),
            flag("is_split_into_words", is_split_into_words),
            _check_delimiter(delimiter),
            None,
        )
        _check_together(aggregation_strategy, stride)

    def __call__(
        self,
        inputs: str | Iterable[str] | Iterable[list[str]],
        *,
        aggregation_strategy: str | None = None,
        ignore_labels: Iterable[str] | None = None,
        stride: int | None = None,
        is_split_into_words: bool | None = None,
        delimiter: str | None = None,
        offset_mapping: Any = None,
        batch_size: int | None = None,
    ) -> Any:
        """Label one text, or many.

        Args:
            inputs: a text; a list of texts; or any other iterable of texts, which is answered
                lazily. With `is_split_into_words` a list of words in place of each text.
            aggregation_strategy: `none` labels every token. `simple` joins neighbours of one kind
                to entities. `first`, `average` and `max` let every word have one label before
                that: of its first token, of the mean of its tokens' scores, or of its surest token.
                A word begins at a space.
            ignore_labels: answer without these, `O` by default. With an aggregation the names are
                those of kinds, without `B-` and `I-`.
            stride: label the whole of a text that is too long, in windows that share this many
                tokens. None labels its beginning, as many tokens as the model takes.
            is_split_into_words: the texts are lists of words, each tokenized as if after a space.
            delimiter: what stands between words for offsets: they count in the words joined by it.
            offset_mapping: for one text alone: the offsets of each of its tokens, specials
                included, in place of the tokenizer's.
            batch_size: how many rows go through the graph at once; None packs rows of about the
                same length, which is fastest.

        Returns:
            For each text a list in reading order, of `{"entity", "score", "index", "word", "start",
            "end"}` for each token, or `{"entity_group", "score", "word", "start", "end"}` for
            each entity with an aggregation. Scores are Python floats. For a list of texts a list of
            these, for another iterable an iterator; for a single list of words a list of one.

        Raises:
            InputError: an input is no text or list of words, or a parameter can't be used.
        """
        given = self._defaults
        split = (
            given.split
            if is_split_into_words is None
            else flag("is_split_into_words", is_split_into_words)
        )
        if split and isinstance(inputs, list) and not all(isinstance(one, list) for one in inputs):
            # A single list of words. transformers answers it as a list of one text.
            inputs = [inputs]
        strategy = aggregation_strategy
        call = _Call(
            given.strategy if strategy is None else _check_strategy(strategy),
            given.ignored if ignore_labels is None else _check_ignored(ignore_labels),
            given.stride if stride is None else self._check_stride(stride),
            split,
            given.delimiter if delimiter is None else _check_delimiter(delimiter),
            None if offset_mapping is None else _offsets_of_one(offset_mapping, inputs),
        )
        _check_together(aggregation_strategy, stride)
        if call.offsets is not None and call.stride is not None:
            raise InputError("offset_mapping is for one window, stride for several: leave one out")
        return self._dispatch(inputs, call, batch_size)

    def _check_stride(self, stride: Any) -> int | None:
        most = self.tokenizer.max_length - self._special_tokens - 1
        return None if stride is None else whole("stride", stride, 0, most)

    def _texts(self, item: Any, call: _Call) -> Sequence[str | list[str]]:
        if not call.split:
            if not isinstance(item, str):
                raise InputError(f"must be a string, found {type(item).__name__}")
            return (item,)
        if not isinstance(item, list):
            raise InputError(f"must be a list of words, found {type(item).__name__}")
        for index, word in enumerate(item):
            if not isinstance(word, str):
                raise InputError(f"word {index} must be a string, found {type(word).__name__}")
        return (item,)

    def _readable(self, text: Any, call: _Call) -> Any:
        # Without a stride, nothing behind the first window is read.
        return self.tokenizer.readable(text, cut=call.stride is None)

    def _tokenize(self, texts: Sequence[Any]) -> Sequence[tokenizers.Encoding]:
        # Within one call, texts are all strings or all lists of words.
        return self.tokenizer.encode(texts, split=bool(texts) and isinstance(texts[0], list))

    def _request(
        self, texts: Sequence[Any], encodings: Sequence[tokenizers.Encoding], call: _Call
    ) -> Request:
        text, encoding = texts[0], encodings[0]
        ids = encoding.ids
        before, end = _middle(encoding.special_tokens_mask)
        size = self.tokenizer.max_length - before - (len(ids) - end)
        spans = [
            range(before + span.start, before + span.stop)
            for span in windows.cut(end - before, size, call.stride or 0)
        ]
        if call.stride is None:
            del spans[1:]
        offsets = encoding.offsets if call.offsets is None else call.offsets
        if len(offsets) < spans[0].stop:
            raise InputError(
                f"has {spans[0].stop} tokens, for which offset_mapping has {len(offsets)} offsets"
            )
        firsts = self._first_offsets(encoding, offsets, spans, call.split)
        if call.split:
            begins = _begins(text, call.delimiter)
            words = encoding.word_ids
            offsets = _moved(offsets, words, begins)
            firsts = _moved(firsts, [words[span.start] for span in spans], begins)
            text = call.delimiter.join(text)
        rows = windows.WindowRows(ids, spans, ids[:before], ids[end:])
        return Request(rows, _Source(text, ids, offsets, firsts, spans, before))

    def _first_offsets(
        self, encoding: tokenizers.Encoding, offsets: Offsets, spans: Sequence[range], split: bool
    ) -> Offsets:
        firsts = [offsets[span.start] if span else (0, 0) for span in spans]
        if len(spans) > 1 and (split or self.tokenizer.adds_prefix_space):
            tokens = encoding.tokens
            for index, span in enumerate(spans[1:], 1):
                firsts[index] = windows.first_offsets(tokens[span.start], *firsts[index])
        return firsts

    def _reduce(self, request: Request, row: int, output: NDArray[np.float32], call: _Call) -> Any:
        # output: (length, labels), padding included
        source: _Source = request.source
        span = source.windows[row]
        scores = softmax(output[source.before : source.before + len(span)])
        offsets = source.offsets[span.start : span.stop]
        if span:
            offsets = [source.firsts[row], *offsets[1:]]
        tokens = self._units(source, scores, offsets, span)
        labels, join = self._label_names, self.tokenizer.join
        if call.strategy == "none":
            return [
                {
                    "entity": labels[token.label],
                    "score": token.score,
                    "index": index,
                    "word": token.spelling,
                    "start": token.start,
                    "end": token.end,
                }
                for index, token in enumerate(tokens, source.before)
                if labels[token.label] not in call.ignored
            ]
        units = tokens
        if call.strategy != "simple":
            unknown = self.tokenizer.unk_token_id
            continues = [
                token.start > 0
                and _SPACE not in source.sentence[token.start - 1 : token.start + 1]
                and source.ids[place] != unknown
                for place, token in zip(span, tokens, strict=True)
            ]
            units = entities.words(tokens, continues, scores, call.strategy, join)
        found = entities.entities(units, labels, join)
        return [entity for entity in found if entity["entity_group"] not in call.ignored]

    def _units(
        self, source: _Source, scores: NDArray[np.float32], offsets: Offsets, span: range
    ) -> list[Unit]:
        unknown, spelling = self.tokenizer.unk_token_id, self.tokenizer.id_to_token
        return [
            Unit(
                label,
                score,
                source.sentence[start:end] if token == unknown else spelling(token),
                start,
                end,
            )
            for label, score, token, (start, end) in zip(
                scores.argmax(axis=-1).tolist(),
                scores.max(axis=-1).tolist(),
                source.ids[span.start : span.stop],
                offsets,
                strict=True,
            )
        ]

    def _combine(self, request: Request, reduced: list[Any], call: _Call) -> Any:
        if len(reduced) == 1:
            return reduced[0]
        return entities.without_overlaps(itertools.chain.from_iterable(reduced))


def _check_strategy(name: Any) -> str:
    if not isinstance(name, str) or name.lower() not in AGGREGATION_STRATEGIES:
        raise InputError(
            f"aggregation_strategy must be one of {', '.join(AGGREGATION_STRATEGIES)}, found "
            f"{shown(name)}"
        )
    return name.lower()


def _check_ignored(names: Any) -> frozenset[str]:
    ignored = None if isinstance(names, (str, bytes)) else items(names)
    if ignored is None or not all(isinstance(name, str) for name in ignored):
        raise InputError(f"ignore_labels must be a list of names of labels, found {shown(names)}")
    return frozenset(ignored)


def _check_delimiter(delimiter: Any) -> str:
    if not isinstance(delimiter, str):
        raise InputError(f"delimiter must be a string, found {shown(delimiter)}")
    return delimiter


def _check_together(strategy: str | None, stride: int | None) -> None:
    # As transformers: only where both are given at once.
    if stride is not None and strategy is not None and strategy.lower() == "none":
        raise InputError(
            "stride answers a text in windows, for which aggregation_strategy must not be none"
        )


def _middle(special: Sequence[int]) -> tuple[int, int]:
    # Where a text's own tokens begin and end between the special ones.
    if 0 not in special:
        return 1, 1
    return special.index(0), len(special) - special[::-1].index(0)


def _begins(words: Sequence[str], delimiter: str) -> list[int]:
    # Where each word begins when they are joined.
    return [0, *itertools.accumulate(len(word) + len(delimiter) for word in words)]


def _moved(offsets: Offsets, words: Sequence[int | None], begins: Sequence[int]) -> Offsets:
    # From offsets in a word to those in the words joined. Special tokens belong to no word.
    return [
        (start, end) if word is None else (start + begins[word], end + begins[word])
        for (start, end), word in zip(offsets, words, strict=False)
    ]


def _offsets_of_one(mapping: Any, inputs: Any) -> Offsets:
    if not isinstance(inputs, str) and not (isinstance(inputs, list) and len(inputs) == 1):
        raise InputError("offset_mapping is for one text: give that alone")
    nested = isinstance(mapping, list) and len(mapping) == 1 and isinstance(mapping[0], list)
    of_one = mapping[0] if nested else mapping
    if not isinstance(of_one, list) or not all(map(_is_offset, of_one)):
        raise InputError("offset_mapping must be a list of (start, end), in characters")
    return of_one


def _is_offset(pair: Any) -> bool:
    return isinstance(pair, (tuple, list)) and [*map(type, pair)] == [int, int]
