"""Windows are those that `tokenizers` cuts."""

from __future__ import annotations

import itertools
from functools import cache
from pathlib import Path

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from distilroberta.runtime.tasks import windows

MINI = Path(__file__).parents[3] / "examples" / "mini" / "tokenizer.json"


@cache
def _tokenizer(add_prefix_space: bool) -> tokenizers.Tokenizer:
    tokenizer = tokenizers.Tokenizer.from_file(str(MINI))
    pre = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    tokenizer.pre_tokenizer = pre
    tokenizer.post_processor = tokenizers.processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=add_prefix_space
    )
    return tokenizer


@given(st.integers(0, 60), st.integers(1, 20), st.integers(0, 19))
def test_cut_as_tokenizers_does(length: int, size: int, overlap: int) -> None:
    overlap = min(overlap, size - 1)
    whole = _tokenizer(False).encode("a" * length, add_special_tokens=False)
    positions = range(len(whole.ids))
    cut = windows.cut(len(positions), size, overlap)
    whole.truncate(size, overlap)
    found = [tuple(window) for window in cut]
    assert [len(window) for window in found] == [len(one) for one in (whole, *whole.overflowing)]
    assert sorted({position for window in found for position in window}) == [*positions]
    for window, following in itertools.pairwise(found):
        assert window[len(window) - overlap :] == following[:overlap]


def test_overlap_does_not_matter_for_what_fits() -> None:
    assert windows.cut(5, 5, 9) == [range(5)]
    assert windows.cut(0, 5, 9) == [range(0)]


def test_rows_stand_between_what_all_have() -> None:
    rows = windows.WindowRows([*range(10)], [range(2, 5), range(4, 7)], [0, 1], [9])
    assert [*rows] == [[0, 1, 2, 3, 4, 9], [0, 1, 4, 5, 6, 9]]
    assert len(rows) == 2
    with pytest.raises(IndexError):
        rows[2]


@given(
    st.lists(
        st.sampled_from([" ", "  ", "\t", "\n", "dog", " bark", "\u00a0", "<mask>", "\u00e9"])
    ),
    st.integers(2, 9),
    st.integers(0, 8),
)
def test_offsets_of_a_first_token(parts: list[str], size: int, overlap: int) -> None:
    text = "".join(parts)
    overlap = min(overlap, size - 1)
    tokenizer = _tokenizer(True)
    tokenizer.no_truncation()
    whole = tokenizer.encode(text)
    tokenizer.enable_truncation(size + 2, stride=overlap)
    cut = tokenizer.encode(text)
    expected = [one.offsets[1] for one in (cut, *cut.overflowing) if len(one) > 2]
    spans = windows.cut(len(whole) - 2, size, overlap)
    found = [
        windows.first_offsets(whole.tokens[1 + span.start], *whole.offsets[1 + span.start])
        for span in spans
        if span
    ]
    assert found == expected
