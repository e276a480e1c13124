"""What a pipeline of each task is given for a workload's texts.

Standard library only: it is imported where starting is timed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_QUESTIONS = "question-answering"

# How a pipeline is loaded for a task. Without pooling, the features of all tokens would be timed as
# they become nested lists. A context that the model can take is to go through it in one piece, as
# the texts of the other tasks do: more than the model takes counts as what it takes.
OPTIONS: dict[str, dict[str, Any]] = {
    "feature-extraction": {"pooling": "mean"},
    _QUESTIONS: {"max_seq_len": 1 << 20},
}
_WORDS = 2


def inputs(task: str, texts: Sequence[str]) -> Any:
    """Return what a pipeline is called with: one text as itself, several as a list."""
    items = [question(text) for text in texts] if task == _QUESTIONS else list(texts)
    return items[0] if len(items) == 1 else items


def question(text: str) -> dict[str, str]:
    """Make a question with its context of a text, with as many tokens together.

    The first two words are the question. The last two are left out: between question and context
    there are two separators more, and the words that end a workload's text are a token each. The
    context keeps the space before it, without which its first word may be other tokens. Of a text
    of less than five words, the last one is the context.
    """
    words = text.split(" ")
    context = words[_WORDS:-_WORDS] or words[-1:]
    return {"question": " ".join(words[:_WORDS]), "context": " " + " ".join(context)}
