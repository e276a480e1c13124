"""Which column of a table is the text, the label, ... of a task.

A part of an example, such as `text`, is found by the names that GLUE, the datasets of the model hub
and SQuAD give its column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from distilroberta.quantize.quality.errors import DataError
from distilroberta.quantize.quality.tables import Table, listed

# The parts an example needs, and those it may have.
NEEDED = {
    "text-classification": ("text", "label"),
    "fill-mask": ("text",),
    "token-classification": ("words", "labels"),
    "question-answering": ("question", "context", "answers"),
}
OPTIONAL = {"text-classification": ("pair",), "fill-mask": ("word",)}

# The header of GLUE's QQP. Some of its rows are cut short
# (https://github.com/nyu-mll/GLUE-baselines/issues/5).
QQP = ("id", "qid1", "qid2", "question1", "question2", "is_duplicate")

Columns = Mapping[str, str]


def _pairs(*names: tuple[str, str, str]) -> list[Columns]:
    return [dict(zip(("text", "pair", "label"), three, strict=True)) for three in names]


# By task, the first of which a table has all columns.
_KNOWN: dict[str, list[Columns]] = {
    "text-classification": [
        *_pairs(
            ("#1 string", "#2 string", "quality"),  # MRPC
            ("sentence1", "sentence2", "gold_label"),  # MNLI, SNLI
            ("sentence1", "sentence2", "score"),  # STS-B
            ("sentence1", "sentence2", "label"),  # RTE, WNLI
            ("question1", "question2", "is_duplicate"),  # QQP
            ("question1", "question2", "label"),
            ("question", "sentence", "label"),  # QNLI
            ("premise", "hypothesis", "label"),
            ("text", "text_pair", "label"),
        ),
        {"text": "sentence", "label": "label"},  # SST-2
        {"text": "text", "label": "label"},
    ],
    "fill-mask": [{"text": "text", "word": "word"}, {"text": "text"}],
    "token-classification": [
        {"words": words, "labels": labels}
        for words in ("words", "tokens")
        for labels in ("labels", "tags", "ner_tags")
    ],
    "question-answering": [{"question": "question", "context": "context", "answers": "answers"}],
}
# The same without a header, by task and number of columns. Four are CoLA's.
_BY_PLACE: dict[tuple[str, int], Columns] = {
    ("text-classification", 2): {"text": "1", "label": "2"},
    ("text-classification", 4): {"text": "4", "label": "2"},
    ("fill-mask", 1): {"text": "1"},
    ("fill-mask", 2): {"text": "1", "word": "2"},
}


def check(task: str, columns: Columns) -> None:
    """Check that names were given to parts that the task's examples have.

    Raises:
        DataError: there is no such part.
    """
    parts = (*NEEDED[task], *OPTIONAL.get(task, ()))
    for part in columns:
        if part not in parts:
            raise DataError(f"an example of {task} has no {part!r}; it has {', '.join(parts)}")


def is_header(task: str, cells: Sequence[str], columns: Columns) -> bool:
    """Tell if a first line names the columns: those that were given, or all of a known table."""
    found = {cell.casefold() for cell in cells}
    given = [name for name in columns.values() if not name.isdecimal()]
    if given:
        return all(name in cells for name in given)
    return any(found.issuperset(known.values()) for known in _KNOWN[task])


def choose(task: str, table: Table, columns: Columns) -> Columns:
    """Return the column of each part.

    Args:
        task: the task.
        table: where to find them.
        columns: names that were given. They go before what is known; where all that an example
            needs is given, nothing is added.

    Raises:
        DataError: a part has no column, or a column that was given is not there.
    """
    absent = [name for name in columns.values() if name not in table.names]
    if absent:
        raise DataError(f"{table.path} has no column {absent[0]!r}; {_has(table)}")
    if set(NEEDED[task]) <= set(columns):
        return columns
    by_place = _BY_PLACE.get((task, len(table.names)))
    known = _KNOWN[task] if table.has_header else [by_place] if by_place else []
    spelt = {name.casefold(): name for name in table.names}
    for layout in known:
        found = {part: spelt.get(name) for part, name in layout.items()} | dict(columns)
        if None not in found.values():
            return {part: name for part, name in found.items() if name is not None}
    parts = ",".join(f"{part}=NAME" for part in NEEDED[task])
    raise DataError(
        f"{table.path}: can't tell which column is which; {_has(table)}; say it with --columns "
        f"{parts}"
    )


def _has(table: Table) -> str:
    if table.has_header:
        return f"it has {listed(table.names) or 'none'}"
    return f"it has no header that names known columns, and columns 1 to {len(table.names)}"
