"""Calibration texts: the package's own, files of lines and of JSON lines, and what is refused."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distilroberta.quantize.calibration_text import DEFAULT, Texts
from distilroberta.runtime import InputError

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file of calibration texts: `write(content, name)`."""

    def write_(content: str | bytes, name: str = "texts.txt") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write_


def test_own_texts_are_many_and_of_many_kinds() -> None:
    texts = [str(text) for text in Texts()]
    assert len(texts) == len(set(texts)) >= 150
    words = [len(text.split()) for text in texts]
    assert min(words) == 1
    assert sum(count >= 60 for count in words) >= 5
    assert sum(not text.isascii() for text in texts) >= 10
    together = "".join(texts)
    assert all(
        mark in together for mark in ("?", "!", '"', "{", "@example.", "https://", "🎉", "я")
    )


def test_own_texts_name_no_host_but_reserved_ones() -> None:
    """RFC 2606: addresses under example.com and example.org reach nobody."""
    hosts = re.findall(r"(?:://|\w@)([\w.-]*\w)", DEFAULT.read_text("utf-8"))
    assert len(hosts) >= 3
    assert all(host.endswith(("example.com", "example.org")) for host in hosts), hosts


def test_own_texts_hold_what_nobody_writes_and_the_longest_input() -> None:
    """A text of 330 words is about as long as a model takes."""
    texts = [str(text).split() for text in Texts()]
    assert sum(len(words) >= 10 and len(set(words)) == 1 for words in texts) >= 5
    assert sum(len(words) >= 330 for words in texts) >= 2


def test_line_is_a_text_and_empty_lines_are_none(write: Write) -> None:
    path = write("One text.\n\n  Another,\twith a tab. \r\n   \nWithout an end")
    assert list(Texts(path)) == ["One text.", "Another,\twith a tab.", "Without an end"]


def test_only_a_newline_ends_a_text(write: Write) -> None:
    path = write("a\u2028b\x0cc\x85d\n")
    assert list(Texts(path)) == ["a\u2028b\x0cc\x85d"]


def test_byte_order_mark_is_no_text(write: Write) -> None:
    assert list(Texts(write("\ufeffFirst.\nSecond.\n"))) == ["First.", "Second."]


@pytest.mark.parametrize("name", ["texts.jsonl", "texts.ndjson", "TEXTS.JSONL"])
@pytest.mark.parametrize(
    ("line", "text"),
    [
        ('{"text": " A text. ", "label": 1}', "A text."),
        ('{"id": 3, "sentence": "First.", "other": "Second."}', "First."),
        ('{"title": "No.", "text": "Yes."}', "Yes."),
        ('"Only a string."', "Only a string."),
        ('["A question?", "A context."]', ("A question?", "A context.")),
        ('"\\u00e9\\ud83d\\ude00"', "é😀"),
    ],
)
def test_json_line_holds_a_text(write: Write, name: str, line: str, text: Any) -> None:
    assert list(Texts(write(f'{line}\n\n{{"text": ""}}\n"end"\n', name))) == [text, "end"]


def test_json_in_a_file_of_lines_is_a_text(write: Write) -> None:
    assert list(Texts(write('{"text": "A"}\n'))) == ['{"text": "A"}']


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2 is not JSON"),
        ("[" * 100_000, "line 2 is not JSON"),
        ("3", "line 2 holds no text: must be a string"),
        ("null", "line 2 holds no text"),
        ('{"label": 1}', "line 2 holds no text"),
        ('{"text": 1, "other": "x"}', "line 2 holds no text"),
        ('["one"]', "line 2 holds no text"),
        ('["a", "b", "c"]', "line 2 holds no text"),
        ('["a", 1]', "line 2 holds no text"),
        ('"half \\ud800"', "line 2 holds a lone surrogate"),
        ('["fine", "half \\ud800"]', "line 2 holds a lone surrogate"),
    ],
)
def test_line_that_is_no_text_is_named(write: Write, line: str, message: str) -> None:
    path = write(f'"fine"\n{line}\n', "texts.jsonl")
    with pytest.raises(InputError, match=rf"texts\.jsonl, {message}") as error:
        list(Texts(path))
    assert "\n" not in str(error.value)


def test_line_that_is_not_utf8_is_named(write: Write) -> None:
    path = write(b"fine\ncaf\xe9\n")
    with pytest.raises(InputError, match=r"texts\.txt, line 2: byte 0xe9 is not UTF-8"):
        list(Texts(path))


@pytest.mark.parametrize("content", ["", "\n \n\t\n"])
def test_file_without_a_text_is_refused(write: Write, content: str) -> None:
    with pytest.raises(InputError, match=r"texts\.txt holds no text to calibrate on"):
        list(Texts(write(content)))


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.txt"):
        with pytest.raises(InputError, match=r"calibration texts: .* is not a file"):
            Texts(path)


def test_file_that_goes_away_is_an_input_error(write: Write) -> None:
    path = write("one\n")
    texts = Texts(path)
    os.remove(path)
    with pytest.raises(InputError, match=r"texts\.txt can't be read"):
        list(texts)


def test_texts_are_read_as_they_are_needed(write: Write) -> None:
    """The broken line is reached only after the first text was given."""
    texts = iter(Texts(write('"first"\n{\n', "texts.jsonl")))
    assert next(texts) == "first"
    with pytest.raises(InputError, match="line 2 is not JSON"):
        next(texts)


def test_every_pass_reads_the_file_anew(write: Write) -> None:
    path = write("one\n")
    texts = Texts(path)
    assert list(texts) == list(texts) == ["one"]
    write("one\ntwo\n")
    assert list(texts) == ["one", "two"]


def test_path_may_be_a_string(write: Write) -> None:
    assert list(Texts(str(write("one\n")))) == ["one"]
    with pytest.raises(InputError, match=r"no\.txt is not a file"):
        Texts("no.txt")


def test_count_is_the_number_of_texts(write: Write) -> None:
    assert Texts(write("a\n\n b\n")).count() == 2
    assert Texts().count() == len(list(Texts()))


def test_progress_is_told_after_each_text_of_each_pass(write: Write) -> None:
    told: list[tuple[int, int]] = []
    texts = Texts(write("a\n\nb\n"), progress=lambda *done: told.append(done))
    passing = iter(texts)
    assert (next(passing), told) == ("a", [])
    assert (next(passing), told) == ("b", [(1, 2)])
    assert list(passing) == []
    assert told == [(1, 2), (2, 2)]
    list(texts)
    assert told == [(1, 2), (2, 2)] * 2
