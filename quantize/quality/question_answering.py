"""Questions on a context: the span that answers them, looked for in overlapping windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tokenizers

from distilroberta.quantize.quality import squad_rules
from distilroberta.quantize.quality.answer_spans import Span, answer, best_spans
from distilroberta.quantize.quality.errors import DataError
from distilroberta.quantize.quality.examples import QuestionExample
from distilroberta.quantize.quality.metrics import Metrics
from distilroberta.quantize.quality.task import (
    Case,
    Integers,
    Logits,
    Tally,
    Task,
    chunks,
    integers,
    word_ids,
)
from distilroberta.runtime.tasks.tokenizer import Tokenizer

# As transformers' `run_qa` has them: the tokens of a window, and how many two windows share.
_WINDOW = 384
_STRIDE = 128


@dataclass(frozen=True, eq=False)
class WindowCase(Case):
    """Window number `window` of a question.

    `places` is where its context tokens stand, (tokens,), and `offsets` the characters of the
    context that each covers, (tokens, 2).
    """

    window: int
    places: Integers
    offsets: Integers


class QuestionAnswering(Task[WindowCase]):
    """Questions with their contexts in windows.

    Where a question has no right answer, as in SQuAD 2.0, a model may give none to any.
    """

    def __init__(
        self, examples: Sequence[QuestionExample], tokenizer_file: Path, tokenizer: Tokenizer
    ) -> None:
        """Tokenize the questions and contexts.

        Raises:
            DataError: a question leaves no room for its context.
        """
        self.examples = examples
        self.may_have_none = any(not example.answers for example in examples)
        self._length = min(_WINDOW, tokenizer.max_length)
        self._stride = min(_STRIDE, self._length // 2)
        windows = tokenizers.Tokenizer.from_file(str(tokenizer_file))
        windows.no_padding()
        windows.enable_truncation(self._length, stride=self._stride, strategy="only_second")
        special = windows.num_special_tokens_to_add(is_pair=True)
        self.cases: list[WindowCase] = []
        done = 0
        for chunk in chunks(examples):
            for example in chunk:
                self._check(example, len(word_ids(tokenizer, example.question.lstrip())) + special)
            pairs = [(example.question.lstrip(), example.context) for example in chunk]
            for encoding in windows.encode_batch(pairs):
                for number, window in enumerate((encoding, *encoding.overflowing)):
                    self.cases.append(_case(done, number, window))
                done += 1
        unanswerable = sum(not example.answers for example in examples)
        self.counts = {
            "questions": len(examples),
            "questions without an answer": unanswerable,
            "windows": len(self.cases),
        }
        self.main_metric = "f1"

    def _check(self, example: QuestionExample, used: int) -> None:
        # tokenizers panics where a window has no more room than two share.
        if self._length - used <= self._stride:
            raise DataError(
                f"{example.where}: the question is too long: with it a window of {self._length} "
                f"tokens has {max(0, self._length - used)} left for the context, and must have "
                f"more than {self._stride}; shorten the question"
            )

    def rows(self, batch: Sequence[WindowCase], output: tuple[Logits, Logits]) -> list[Logits]:
        """Return for each window start and end logits of `<s>` and the context, (2, tokens)."""
        start, end = output
        return [
            np.stack([start[row], end[row]])[:, np.append(0, case.places)]
            for row, case in enumerate(batch)
        ]

    def tally(self) -> _Answers:
        """Return a tally of answers."""
        return _Answers(self)


def _case(example: int, number: int, window: tokenizers.Encoding) -> WindowCase:
    places = [place for place, part in enumerate(window.sequence_ids) if part == 1]
    offsets = integers(window.offsets)[places]
    return WindowCase(example, integers(window.ids), number, integers(places), offsets)


class _Answers(Tally[WindowCase]):
    def __init__(self, task: QuestionAnswering) -> None:
        self._task = task
        # By question: the spans of each window, and the least score of no answer.
        self._spans: dict[int, dict[int, list[Span]]] = {}
        self._none: dict[int, float] = {}

    def add(self, batch: Sequence[WindowCase], output: tuple[Logits, Logits]) -> None:
        for case, logits in zip(batch, self._task.rows(batch, output), strict=True):
            spans = best_spans(logits[0, 1:], logits[1, 1:], case.offsets)
            self._spans.setdefault(case.example, {})[case.window] = spans
            none = float(logits[0, 0]) + float(logits[1, 0])
            self._none[case.example] = min(none, self._none.get(case.example, none))

    def answers(self) -> list[str]:
        """Return the answer to each question."""
        found = []
        for index, example in enumerate(self._task.examples):
            windows = self._spans[index]
            spans = [span for window in sorted(windows) for span in windows[window]]
            none = self._none[index] if self._task.may_have_none else None
            found.append(answer(example.context, spans, none))
        return found

    def metrics(self) -> Metrics:
        pairs = list(zip(self.answers(), self._task.examples, strict=True))
        exact = [squad_rules.exact_match(found, example.answers) for found, example in pairs]
        f1 = [squad_rules.f1(found, example.answers) for found, example in pairs]
        scores = {"f1": float(np.mean(f1)), "exact_match": float(np.mean(exact))}
        for name, answerable in (("f1_answerable", True), ("f1_unanswerable", False)):
            part = [
                score
                for score, example in zip(f1, self._task.examples, strict=True)
                if bool(example.answers) == answerable
            ]
            if self._task.may_have_none and part:
                scores[name] = float(np.mean(part))
        return scores
