"""Labelled examples, one type for each task.

`where` names the place in the file, for errors.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TextExample:
    """A text or a pair of texts, with the id of its label; for a regression, with a number."""

    where: str
    text: str
    pair: str | None
    label: int | float


@dataclass(frozen=True)
class TokensExample:
    """A sentence as words, with the label id of each."""

    where: str
    words: tuple[str, ...]
    labels: tuple[int, ...]


@dataclass(frozen=True)
class QuestionExample:
    """A question on a context. Any of `answers` is right; without one it can't be answered."""

    where: str
    question: str
    context: str
    answers: tuple[str, ...]


@dataclass(frozen=True)
class MaskedExample:
    """A text with masks. `word` is what stood at its one mask; None where that is not known."""

    where: str
    text: str
    word: str | None


Example = TextExample | TokensExample | QuestionExample | MaskedExample
