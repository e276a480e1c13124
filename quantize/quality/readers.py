"""A file of labelled data to the examples of a task."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distilroberta.quantize.quality import columns as known_columns
from distilroberta.quantize.quality import conll, squad, tables
from distilroberta.quantize.quality.columns import Columns
from distilroberta.quantize.quality.errors import DataError
from distilroberta.quantize.quality.examples import (
    Example,
    MaskedExample,
    QuestionExample,
    TextExample,
    TokensExample,
)
from distilroberta.quantize.quality.tables import Row
from distilroberta.quantize.quality.text_file import lines
from distilroberta.runtime.errors import InputError

_TABLES = ("tsv", "csv", "jsonl", "parquet")
FORMATS = {
    "text-classification": _TABLES,
    "fill-mask": _TABLES,
    "token-classification": ("conll", "jsonl", "parquet"),
    "question-answering": ("squad", "jsonl", "parquet"),
}
_SUFFIXES = {
    ".tsv": "tsv",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".conll": "conll",
    ".bio": "conll",
    ".iob": "conll",
    ".iob2": "conll",
}
# Of these names anything goes: the task, or the content, tells.
_TEXT_SUFFIXES = (".txt", ".tsv")
_PARQUET_MAGIC = b"PAR1"

# The id of a label, or the number of a regression; raises ValueError.
LabelOf = Callable[[Any], int | float]
# Makes an example of its place and its parts; raises ValueError.
Maker = Callable[[str, Mapping[str, Any], LabelOf], Example]


@dataclass(frozen=True)
class Data:
    """The examples of a file, at least one, and how many broken rows were left out."""

    examples: tuple[Example, ...]
    left_out: int


def read(
    path: Path,
    task: str,
    label_of: LabelOf,
    *,
    data_format: str | None = None,
    columns: Columns | None = None,
    limit: int | None = None,
) -> Data:
    """Read labelled data.

    Args:
        path: a file of TSV, CSV, JSON lines or Parquet with a text or a pair of texts and a label,
            or a text with a mask and the word; of CoNLL columns, JSON lines or Parquet with words
            and their labels; of SQuAD's JSON, JSON lines or Parquet with questions.
        task: one of `FORMATS`.
        label_of: turns a label as the file has it into an id or a number.
        data_format: `tsv`, `csv`, `jsonl`, `parquet`, `conll` or `squad`; by default what the
            file's name and content say.
        columns: the column of `text`, `pair`, `label`, `word`, `words`, `labels`, `question`,
            `context` or `answers`, by name, or by number where there is no header.
        limit: read no more than the first so many examples.

    Raises:
        DataError: the file can't be read, holds no example, or one that is not as it should be.
    """
    given = columns or {}
    known_columns.check(task, given)
    if limit is not None and limit < 1:
        raise InputError(f"the limit must be a whole number from 1 up, found {limit}")
    chosen = data_format or detect_format(path, task)
    if chosen not in FORMATS[task]:
        raise DataError(
            f"{path}: {task} is not read from {chosen}, but from {', '.join(FORMATS[task])}; "
            "choose with --format"
        )
    source = _open(path, task, chosen, given)
    left_out: list[Row] = []
    examples = _examples(source, _MAKERS[task], label_of, left_out)
    found = tuple(itertools.islice(examples, limit))
    if not found:
        raise DataError(f"{path} holds no example")
    return Data(found, len(left_out))


@dataclass(frozen=True)
class _Source:
    # Rows, the column of each part, and whether a broken row is known to be there.
    rows: Iterator[Row]
    places: Columns
    has_header: bool = True
    may_be_broken: bool = False


def _examples(
    source: _Source,
    make: Maker,
    label_of: LabelOf,
    left_out: list[Row],
) -> Iterator[Example]:
    advice = "" if source.has_header else "; if this line is a header, say with --columns of what"
    for row in source.rows:
        if row.problem and source.may_be_broken:
            left_out.append(row)
            continue
        try:
            if row.problem:
                raise ValueError(row.problem)
            parts = {part: row.values[name] for part, name in source.places.items()}
            example = make(row.where, parts, label_of)
        except ValueError as error:
            raise DataError(f"{row.where}: {error}{advice}") from error
        yield example
        advice = ""


def detect_format(path: Path, task: str) -> str:
    """Return the format of a file by its name, and where that leaves it open by its content.

    Raises:
        DataError: neither tells.
    """
    suffix = path.suffix.lower()
    if task == "token-classification" and suffix in _TEXT_SUFFIXES:
        return "conll"
    if suffix in _SUFFIXES:
        return _SUFFIXES[suffix]
    if suffix == ".json":
        return "jsonl" if _is_json_lines(path) else "squad"
    if suffix == ".txt" and task in ("text-classification", "fill-mask"):
        return "tsv"
    try:
        with path.open("rb") as file:
            if file.read(len(_PARQUET_MAGIC)) == _PARQUET_MAGIC:
                return "parquet"
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}") from error
    raise DataError(
        f"{path}: its name does not tell the format; choose one of {', '.join(FORMATS[task])} with "
        "--format"
    )


def _is_json_lines(path: Path) -> bool:
    # SQuAD's is one object with `data`, on one line or on many.
    first = next((line for _, line in lines(path) if line.strip()), "")
    try:
        tree = json.loads(first)
    except (ValueError, RecursionError):
        return False
    return isinstance(tree, dict) and "data" not in tree


def _open(path: Path, task: str, data_format: str, given: Columns) -> _Source:
    if data_format == "conll":
        return _Source(conll.read_conll(path, given), {"words": "words", "labels": "labels"})
    if data_format == "squad":
        parts = known_columns.NEEDED[task]
        return _Source(squad.read_squad(path), dict(zip(parts, parts, strict=True)))

    def is_header(cells: Sequence[str]) -> bool:
        return known_columns.is_header(task, cells, given)

    if data_format == "tsv":
        table = tables.read_tsv(path, is_header)
    elif data_format == "csv":
        table = tables.read_csv(path, is_header)
    elif data_format == "jsonl":
        table = tables.read_json_lines(path)
    else:
        table = tables.read_parquet(path)
    places = known_columns.choose(task, table, given)
    rows = table.rows(list(places.values()))
    return _Source(rows, places, table.has_header, table.names == known_columns.QQP)


def _text(parts: Mapping[str, Any], name: str) -> str:
    return _string(parts[name], f"{name!r}")


def _string(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{what} must be a string, found {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{what} holds half of a surrogate pair, which is no character") from None
    return value


def _text_example(where: str, parts: Mapping[str, Any], label_of: LabelOf) -> Example:
    pair = _text(parts, "pair") if "pair" in parts else None
    return TextExample(where, _text(parts, "text"), pair, label_of(parts["label"]))


def _masked_example(where: str, parts: Mapping[str, Any], _: LabelOf) -> Example:
    word = _text(parts, "word").strip() if "word" in parts else None
    if word == "":
        raise ValueError("'word' is empty: it must be the word that was masked")
    return MaskedExample(where, _text(parts, "text"), word)


def _tokens_example(where: str, parts: Mapping[str, Any], label_of: LabelOf) -> Example:
    words, labels = _sequence(parts, "words"), _sequence(parts, "labels")
    if not words or len(words) != len(labels):
        raise ValueError(f"has {len(words)} words and {len(labels)} labels; each word needs one")
    ids = tuple(int(label_of(label)) for label in labels)
    return TokensExample(where, tuple(_string(word, "a word") for word in words), ids)


def _question_example(where: str, parts: Mapping[str, Any], _: LabelOf) -> Example:
    question, context = _text(parts, "question"), _text(parts, "context")
    return QuestionExample(where, question, context, tuple(_answers(parts["answers"])))


def _answers(value: Any) -> list[str]:
    # SQuAD has a list of objects with `text`; the hub's tables one object with a list as `text`.
    texts = value.get("text") if isinstance(value, dict) else value
    if not isinstance(texts, list):
        raise ValueError("'answers' must be a list, or an object with a list as 'text'")
    texts = [text.get("text") if isinstance(text, dict) else text for text in texts]
    return [_string(text, "an answer") for text in texts]


def _sequence(parts: Mapping[str, Any], name: str) -> list[Any]:
    if not isinstance(parts[name], list):
        raise ValueError(f"{name!r} must be a list, found {type(parts[name]).__name__}")
    return list(parts[name])


_MAKERS: dict[str, Maker] = {
    "text-classification": _text_example,
    "fill-mask": _masked_example,
    "token-classification": _tokens_example,
    "question-answering": _question_example,
}
