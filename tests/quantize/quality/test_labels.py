"""Labels by name and by id."""

from __future__ import annotations

from typing import Any

import pytest

from distilroberta.quantize.quality.labels import Labels, number

SENTIMENT = Labels({0: "NEGATIVE", 1: "POSITIVE"})


@pytest.mark.parametrize(
    ("value", "index"),
    [
        ("NEGATIVE", 0),
        ("positive", 1),
        (" Positive ", 1),
        ("1", 1),
        ("0", 0),
        (1, 1),
        (0.0, 0),
        ("1.0", 1),
        (True, 1),
    ],
)
def test_a_name_in_any_case_or_an_id(value: Any, index: int) -> None:
    assert SENTIMENT(value) == index


@pytest.mark.parametrize(
    "value", ["neutral", "2", 2, -1, "-1", 0.5, "", None, "nan", float("inf"), ["0"], {}]
)
def test_anything_else_is_refused_with_what_there_is(value: Any) -> None:
    with pytest.raises(ValueError, match=r"no label .*; it has 0 NEGATIVE, 1 POSITIVE$"):
        SENTIMENT(value)


def test_exact_spelling_comes_first() -> None:
    labels = Labels({0: "a", 1: "A", 2: "b"})
    assert (labels("a"), labels("A"), labels("B")) == (0, 1, 2)


def test_names_that_differ_in_case_alone_have_no_other_spelling() -> None:
    with pytest.raises(ValueError, match="no label 'ST'"):
        Labels({0: "St", 1: "sT"})("ST")


def test_name_of_digits_comes_before_the_id() -> None:
    stars = Labels({0: "1", 1: "2", 2: "3"})
    assert (stars("1"), stars("3"), stars(1)) == (0, 2, 1)


def test_many_labels_are_not_all_listed() -> None:
    with pytest.raises(ValueError, match=r"0 L0, .*11 L11 and 88 more$"):
        Labels({index: f"L{index}" for index in range(100)})("x")


@pytest.mark.parametrize(("value", "found"), [("3.8", 3.8), (2, 2.0), (0.25, 0.25), ("-1", -1)])
def test_number_of_a_regression(value: Any, found: float) -> None:
    assert number(value) == found


@pytest.mark.parametrize("value", ["high", "", "nan", "inf", None, True, [1]])
def test_what_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="must be a number, found"):
        number(value)
