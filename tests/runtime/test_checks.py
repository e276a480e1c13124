"""Parameters are taken as they are, or refused with a message of one line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from distilroberta.runtime import InputError
from distilroberta.runtime.checks import flag, items, plain, shown, whole

ARRAY = np.arange(100).reshape(10, 10)  # has no truth value, and a repr of many lines


@pytest.mark.parametrize(("value", "most"), [(1, None), (10**30, None), (1, 1), (7, 9)])
def test_whole_number_in_range(value: int, most: int | None) -> None:
    assert whole("top_k", value, 1, most) == value


@pytest.mark.parametrize("value", [0, -1, True, "3", 2.0, None, ARRAY, np.array([]), [1]], ids=repr)
def test_no_whole_number(value: Any) -> None:
    with pytest.raises(InputError, match=r"^top_k must be a whole number from 1 up, found ") as up:
        whole("top_k", value, 1)
    with pytest.raises(InputError, match=r"^n must be a whole number from 1 to 9, found "):
        whole("n", value, 1, 9)
    assert "\n" not in str(up.value)
    assert len(str(up.value)) < 150


def test_whole_number_that_is_too_large() -> None:
    with pytest.raises(InputError, match=r"^n must be a whole number from 0 to 9, found 10$"):
        whole("n", 10, 0, 9)


def test_flag() -> None:
    assert flag("sure", True) is True
    assert flag("sure", False) is False


@pytest.mark.parametrize("value", [1, 0, None, "yes", np.bool_(True), ARRAY, []], ids=repr)
def test_no_flag(value: Any) -> None:
    with pytest.raises(InputError, match=r"^sure must be True or False, found ") as caught:
        flag("sure", value)
    assert "\n" not in str(caught.value)


def test_items() -> None:
    assert items(iter("ab")) == ["a", "b"]
    assert items(np.array(["a", "b"])) == ["a", "b"]
    assert items(5) is None
    assert items(np.array("a")) is None


def test_plain_string_is_no_subclass() -> None:
    assert plain(np.str_("שלום")) == "שלום"
    assert type(plain(np.str_("a"))) is str


def test_shown_value_is_short() -> None:
    assert shown("a") == "'a'"
    assert shown("a" * 1000) == "'" + "a" * 79 + "..."


def test_whole_number_too_long_to_show() -> None:
    with pytest.raises(
        InputError, match=r"^n must be a whole number .* found a value of type int$"
    ):
        whole("n", 10**5000, 1, 9)
