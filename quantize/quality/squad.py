"""SQuAD's JSON, version 1.1 and 2.0 (https://rajpurkar.github.io/SQuAD-explorer/)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from distilroberta.quantize.quality.errors import DataError
from distilroberta.quantize.quality.tables import Row


def read_squad(path: Path) -> Iterator[Row]:
    """Yield the questions of a file as rows of `question`, `context` and `answers`.

    Raises:
        DataError: it can't be read, is not JSON, or lacks a field.
    """
    try:
        tree = json.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON: {error}") from error
    for article, at in _members(tree, "data", str(path)):
        for paragraph, inside in _members(article, "paragraphs", at):
            for question, where in _members(paragraph, "qas", inside):
                if isinstance(question, dict) and isinstance(question.get("id"), str):
                    where = f"{path}, question {question['id']}"
                yield Row(
                    where,
                    {
                        "question": _field(question, "question", where),
                        "context": _field(paragraph, "context", inside),
                        "answers": _field(question, "answers", where),
                    },
                )


def _members(tree: Any, name: str, where: str) -> Iterator[tuple[Any, str]]:
    found = _field(tree, name, where)
    if not isinstance(found, list):
        raise DataError(f"{where}: {name!r} must be a list, found {type(found).__name__}")
    for index, member in enumerate(found):
        yield member, f"{where}, {name}[{index}]"


def _field(tree: Any, name: str, where: str) -> Any:
    if not isinstance(tree, dict) or name not in tree:
        raise DataError(f"{where}: is not SQuAD's JSON: it has no {name!r}")
    return tree[name]
