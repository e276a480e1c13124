"""Lines are strictly UTF-8 and end where a line ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies

from distilroberta.quantize.quality.errors import DataError
from distilroberta.quantize.quality.text_file import lines

Write = Callable[..., Path]

line_texts = strategies.text(
    strategies.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), max_size=20
)


@hypothesis.settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(
    texts=strategies.lists(line_texts, min_size=1), end=strategies.sampled_from(["\n", "\r\n"])
)
def test_lines_come_back_as_they_were_written(write: Write, texts: list[str], end: str) -> None:
    hypothesis.assume(not texts[0].startswith("\ufeff"))
    path = write("a.txt", "".join(text + end for text in texts))
    assert list(lines(path)) == list(enumerate(texts, 1))


def test_only_a_line_feed_ends_a_line(write: Write) -> None:
    text = "a\x0bb\x0cc\x1cd\x85e\u2028f\rg"
    assert list(lines(write("a.txt", text))) == [(1, text)]


def test_byte_order_mark_is_left_out_at_the_start_alone(write: Write) -> None:
    path = write("a.txt", b"\xef\xbb\xbfone\n\xef\xbb\xbftwo")
    assert list(lines(path)) == [(1, "one"), (2, "\ufefftwo")]


def test_other_encoding_is_refused_with_line_and_byte(write: Write) -> None:
    path = write("latin.txt", b"one\ncaf\xe9 au lait\n")
    with pytest.raises(DataError, match=r"latin\.txt, line 2: byte 0xe9 is not UTF-8; convert"):
        list(lines(path))


def test_missing_file_and_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no\.txt can't be read: No such file"):
        list(lines(tmp_path / "no.txt"))
    with pytest.raises(DataError, match="can't be read"):
        list(lines(tmp_path))
