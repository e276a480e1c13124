"""Columns of words: sentences, documents, separators and ragged lines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from distilroberta.quantize.quality.conll import read_conll
from distilroberta.quantize.quality.errors import DataError

Write = Callable[..., Path]
Sentences = list[tuple[list[str], list[str]]]

CONLL_2003 = """\
-DOCSTART- -X- -X- O

EU NNP B-NP B-ORG
rejects VBZ B-VP O

Peter NNP B-NP B-PER
-DOCSTART- -X- -X- O
Blackburn NNP I-NP I-PER"""


def read(path: Path, **columns: str) -> Sentences:
    return [(row.values["words"], row.values["labels"]) for row in read_conll(path, columns)]


def test_label_is_the_last_column_and_documents_are_left_out(write: Write) -> None:
    assert read(write("dev.txt", CONLL_2003)) == [
        (["EU", "rejects"], ["B-ORG", "O"]),
        (["Peter"], ["B-PER"]),
        (["Blackburn"], ["I-PER"]),
    ]


def test_another_column(write: Write) -> None:
    found = read(write("dev.txt", CONLL_2003), labels="3", words="2")
    assert found[0] == (["NNP", "VBZ"], ["B-NP", "B-VP"])


def test_place_is_the_first_line_of_the_sentence(write: Write) -> None:
    path = write("dev.txt", CONLL_2003)
    assert [row.where for row in read_conll(path, {})] == [f"{path}, line {at}" for at in (3, 6, 8)]


def test_tabs_spaces_and_line_ends(write: Write) -> None:
    path = write("dev.txt", "a\tO\r\nb  O \r\n \t\r\nc O")
    assert read(path) == [(["a", "b"], ["O", "O"]), (["c"], ["O"])]


def test_no_break_space_is_part_of_a_word(write: Write) -> None:
    assert read(write("dev.txt", "10\u00a0000 O\n")) == [(["10\u00a0000"], ["O"])]


def test_file_of_blank_lines_has_no_sentence(write: Write) -> None:
    assert read(write("dev.txt", "\n\n-DOCSTART- O\n\n")) == []


@pytest.mark.parametrize(
    ("content", "columns", "said"),
    [
        ("a x O\n\nb O\n", {}, "line 3: has 2 columns, the lines before have 3"),
        ("word\n", {}, "line 1: a line needs a word and a label, found 1 columns"),
        ("a O\n", {"labels": "3"}, "line 1: has 2 columns, .* not '3'"),
        ("a O\n", {"labels": "ner"}, "line 1: has 2 columns, .* not 'ner'"),
        ("a O\n", {"labels": "0"}, "line 1: has 2 columns, .* not '0'"),
    ],
)
def test_what_is_wrong(write: Write, content: str, columns: dict[str, str], said: str) -> None:
    path = write("dev.txt", content)
    with pytest.raises(DataError, match=said) as caught:
        read(path, **columns)
    assert str(path) in str(caught.value)
