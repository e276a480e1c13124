"""Question answering: the parts of a context that answer a question."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tokenizers
from numpy.typing import NDArray

from distilroberta.runtime.artifact import Artifact
from distilroberta.runtime.checks import flag, shown, whole
from distilroberta.runtime.errors import InputError
from distilroberta.runtime.tasks import answer_spans, windows
from distilroberta.runtime.tasks.pipeline import Pipeline, Request

# What transformers has where nothing else is said.
_TOP_K = 1
_MAX_SEQ_LEN = 384
_DOC_STRIDE = 128
_MAX_ANSWER_LEN = 15
_MAX_QUESTION_LEN = 64
# What transformers takes. True is `longest`, False `do_not_pad`.
_PADDINGS = (None, True, False, "longest", "max_length", "do_not_pad")

Example = Mapping[str, str]


class _Call(NamedTuple):
    top_k: int
    doc_stride: int
    max_answer_len: int
    max_seq_len: int
    max_question_len: int
    handle_impossible_answer: bool
    align_to_words: bool


class _Source(NamedTuple):
    context: str
    encoding: tokenizers.Encoding
    # The tokens of the context that each row has.
    windows: Sequence[range]
    # How many tokens a row has before these.
    before: int
    # The offsets of each window's first token, where they are not those in the whole context.
    firsts: Sequence[tuple[int, int] | None]


# What a window found: score, start and end in the context.
_Found = list[tuple[float, int, int]]


class QuestionAnsweringPipeline(Pipeline):
    """Finds answers in contexts, with the results of the transformers pipeline of this name."""

    task = "question-answering"
    truncation = None

    def __init__(
        self,
        artifact: Artifact,
        *,
        variant: str = "auto",
        provider: Any = "auto",
        threads: int | None = None,
        top_k: int = _TOP_K,
        doc_stride: int | None = None,
        max_answer_len: int = _MAX_ANSWER_LEN,
        max_seq_len: int | None = None,
        max_question_len: int = _MAX_QUESTION_LEN,
        handle_impossible_answer: bool = False,
        align_to_words: bool = True,
        padding: Any = None,
        batch_size: int | None = None,
    ) -> None:
        """Load the pipeline. All arguments from `top_k` on are the defaults of a call."""
        self._defaults: dict[str, Any] = {
            "top_k": top_k,
            "doc_stride": doc_stride,
            "max_answer_len": max_answer_len,
            "max_seq_len": max_seq_len,
            "max_question_len": max_question_len,
            "handle_impossible_answer": handle_impossible_answer,
            "align_to_words": align_to_words,
        }
        super().__init__(
            artifact,
            variant=variant,
            provider=provider,
            threads=threads,
            batch_size=batch_size,
            **self._defaults,
        )
        self._call({})
        _check_padding(padding)

    def __call__(
        self,
        inputs: Example | Iterable[Example] | None = None,
        *,
        question: str | list[str] | None = None,
        context: str | list[str] | None = None,
        top_k: int | None = None,
        doc_stride: int | None = None,
        max_answer_len: int | None = None,
        max_seq_len: int | None = None,
        max_question_len: int | None = None,
        handle_impossible_answer: bool | None = None,
        align_to_words: bool | None = None,
        padding: Any = None,
        batch_size: int | None = None,
    ) -> Any:
        """Answer one question, or many.

        Args:
            inputs: in place of the next two: `{"question": ..., "context": ...}`, whose other keys
                do not count; a list of these; or any other iterable of them, which is answered
                lazily.
            question: a question, or a list of them.
            context: the text that holds the answer; with a list of questions also a list, a
                context for each.
            top_k: how many answers to return, best first. Fewer where fewer are found.
            doc_stride: a context that is too long goes through the graph in windows, which share
                this many tokens; by default half of `max_seq_len`, 128 at the most.
            max_answer_len: the length of the longest answer, in tokens.
            max_seq_len: the length of a window in tokens, the question and special tokens
                included; by default 384. More than the model takes counts as what it takes.
            max_question_len: how many tokens are kept of a question that is so long that windows
                of `max_seq_len` have no room for more of the context than they share. Any other
                question is kept whole, as in transformers.
            handle_impossible_answer: let no answer be an answer: `""`, from 0 to 0.
            align_to_words: let answers begin and end where words do.
            padding: True, False, `longest`, `max_length` or `do_not_pad`. Has no effect: no answer
                with a score above 0 depends on it.
            batch_size: how many windows go through the graph at once; None packs windows of about
                the same length, which is fastest.

        Returns:
            For each question `{"score", "start", "end", "answer"}`, its place in characters of the
            context, or a list of these if it has not exactly one answer. What several windows or
            words have in common, but for case, is one answer with the sum of the scores. For
            several questions a list, for a list of one its one answer, and for another iterable
            an iterator.

        Raises:
            InputError: an input is no question with its context, or a parameter can't be used.
        """
        call = self._call(
            {
                "top_k": top_k,
                "doc_stride": doc_stride,
                "max_answer_len": max_answer_len,
                "max_seq_len": max_seq_len,
                "max_question_len": max_question_len,
                "handle_impossible_answer": handle_impossible_answer,
                "align_to_words": align_to_words,
            }
        )
        _check_padding(padding)
        examples = _examples(inputs, question, context)
        result = self._dispatch(examples, call, batch_size)
        return result[0] if isinstance(examples, list) and len(examples) == 1 else result

    def _call(self, given: Mapping[str, Any]) -> _Call:
        chosen = {
            name: default if given.get(name) is None else given[name]
            for name, default in self._defaults.items()
        }
        most = self.tokenizer.max_length
        if chosen["max_seq_len"] is None:
            chosen["max_seq_len"] = _MAX_SEQ_LEN
        chosen["max_seq_len"] = min(whole("max_seq_len", chosen["max_seq_len"], 1), most)
        if chosen["doc_stride"] is None:
            chosen["doc_stride"] = min(chosen["max_seq_len"] // 2, _DOC_STRIDE)
        if whole("doc_stride", chosen["doc_stride"], 0) > chosen["max_seq_len"]:
            raise InputError(
                f"doc_stride must be at most max_seq_len, {chosen['max_seq_len']}, found "
                f"{chosen['doc_stride']}"
            )
        for name in ("top_k", "max_answer_len", "max_question_len"):
            whole(name, chosen[name], 1)
        for name in ("handle_impossible_answer", "align_to_words"):
            flag(name, chosen[name])
        return _Call(**chosen)

    def _texts(self, item: Any, call: _Call) -> Sequence[tuple[str, str]]:
        if not isinstance(item, Mapping):
            raise InputError(
                'must be {"question": ..., "context": ...}, found ' + type(item).__name__
            )
        for key in ("question", "context"):
            if not isinstance(item.get(key), str):
                found = type(item[key]).__name__ if key in item else "none"
                raise InputError(f"{key} must be a string, found {found}")
            if not item[key]:
                raise InputError(f"{key} is empty")
        return ((item["question"], item["context"]),)

    def _request(
        self,
        texts: Sequence[tuple[str, str]],
        encodings: Sequence[tokenizers.Encoding],
        call: _Call,
    ) -> Request:
        encoding = encodings[0]
        ids, parts = encoding.ids, encoding.sequence_ids
        context = range(parts.index(1), parts.index(1) + parts.count(1))
        before, after = ids[: context.start], ids[context.stop :]
        if len(ids) > call.max_seq_len:
            room = call.max_seq_len - len(before) - len(after)
            if room <= call.doc_stride:
                question = range(parts.index(0), parts.index(0) + parts.count(0))
                del before[question.start + call.max_question_len : question.stop]
        size = max(call.max_seq_len - len(before) - len(after), 0)
        if len(context) > size and size <= call.doc_stride:
            raise InputError(
                f"max_seq_len {call.max_seq_len} leaves {size} tokens for the context beside the "
                f"question, doc_stride is {call.doc_stride}: raise max_seq_len (the model takes "
                f"{self.tokenizer.max_length}), or lower doc_stride or max_question_len"
            )
        spans = [
            range(context.start + span.start, context.start + span.stop)
            for span in windows.cut(len(context), size, call.doc_stride)
        ]
        rows = windows.WindowRows(ids, spans, before, after)
        firsts: list[tuple[int, int] | None] = [None] * len(spans)
        if len(spans) > 1 and self.tokenizer.adds_prefix_space:
            tokens = encoding.tokens
            for index, span in enumerate(spans[1:], 1):
                chars = encoding.token_to_chars(span.start)
                firsts[index] = windows.first_offsets(tokens[span.start], *chars)
        return Request(rows, _Source(texts[0][1], encoding, spans, len(before), firsts))

    def _split(
        self, outputs: tuple[NDArray[np.float32], ...], rows: Sequence[Sequence[int]]
    ) -> Iterator[Any]:
        # start and end logits of each row, both (length,) with padding included
        return zip(*outputs, strict=True)

    def _reduce(self, request: Request, row: int, output: Any, call: _Call) -> tuple[_Found, float]:
        ids = np.array(request.rows[row])
        source: _Source = request.source
        window = source.windows[row]
        # transformers lets every <s> be part of an answer, also one that the texts spell out.
        allowed = ids == self.tokenizer.cls_token_id
        allowed[source.before : source.before + len(window)] = True
        start, end = (logits[: len(ids)] for logits in output)
        # Aligned to words, several spans can become one answer.
        count = call.top_k * 2 + 10 if call.align_to_words else call.top_k
        spans, null = answer_spans.rank(
            start, end, allowed, count=count, most_tokens=call.max_answer_len
        )
        place = _Places(source, row, call.align_to_words)
        found = [
            (score, *place(first, last))
            for first, last, score in zip(*(part.tolist() for part in spans), strict=True)
        ]
        return found, null

    def _combine(self, request: Request, reduced: list[Any], call: _Call) -> Any:
        context = request.source.context
        answers: dict[str, dict[str, Any]] = {}
        for found, _ in reduced:
            for score, start, end in found:
                text = context[start:end]
                known = answers.get(text.lower())
                if known is None:
                    answer = {"score": score, "start": start, "end": end, "answer": text}
                    answers[text.lower()] = answer
                else:
                    known["score"] += score
        ranked = list(answers.values())
        if call.handle_impossible_answer:
            null = min(null for _, null in reduced)
            ranked.append({"score": null, "start": 0, "end": 0, "answer": ""})
        ranked.sort(key=lambda answer: answer["score"], reverse=True)
        best = ranked[: call.top_k]
        return best[0] if len(best) == 1 else best


class _Places:
    """Where in the context the tokens of one window's row stand."""

    def __init__(self, source: _Source, row: int, align_to_words: bool) -> None:
        self._source, self._align = source, align_to_words
        self._window, self._first = source.windows[row], source.firsts[row]
        self._of_words: dict[int, tuple[int, int] | None] = {}

    def __call__(self, first: int, last: int) -> tuple[int, int]:
        first, last = self._token(first), self._token(last)
        if self._align:
            # Special tokens belong to no word.
            start, end = self._word(first), self._word(last)
            if start is not None and end is not None:
                return start[0], end[1]
        return self._offsets(first)[0], self._offsets(last)[1]

    def _token(self, position: int) -> int:
        # From the row to the whole text: what stands before the context is the same in both.
        inside = position - self._source.before
        return self._window.start + inside if inside >= 0 else position

    def _offsets(self, token: int) -> tuple[int, int]:
        if self._first is not None and token == self._window.start:
            return self._first
        # Special tokens have none.
        return self._source.encoding.token_to_chars(token) or (0, 0)

    def _word(self, token: int) -> tuple[int, int] | None:
        # Where the word of a token is, as far as the window has it.
        word = self._source.encoding.token_to_word(token)
        if word is None:
            return None
        if word not in self._of_words:
            number = self._source.encoding.token_to_word
            first = bisect_left(self._window, word, key=number)
            end = bisect_right(self._window, word, lo=first, key=number)
            self._of_words[word] = (
                (self._offsets(self._window[first])[0], self._offsets(self._window[end - 1])[1])
                if first < end
                else None
            )
        return self._of_words[word]


def _examples(inputs: Any, question: Any, context: Any) -> Any:
    if question is None and context is None:
        if inputs is None:
            raise InputError("give question= and context=")
        return list(inputs) if isinstance(inputs, tuple) else inputs
    if inputs is not None:
        raise InputError("give either examples, or question= and context=")
    if not isinstance(question, list):
        if isinstance(context, list):
            raise InputError("context is a list: give a list of as many questions")
        return {"question": question, "context": context}
    contexts = context if isinstance(context, list) else [context] * len(question)
    if len(contexts) != len(question):
        raise InputError(f"there are {len(question)} questions and {len(contexts)} contexts")
    return [
        {"question": asked, "context": of_it}
        for asked, of_it in zip(question, contexts, strict=True)
    ]


def _check_padding(padding: Any) -> None:
    known = padding is None or isinstance(padding, (bool, str))
    if not known or padding not in _PADDINGS:
        raise InputError(
            f"padding must be one of {', '.join(map(repr, _PADDINGS))}, found {shown(padding)}"
        )
