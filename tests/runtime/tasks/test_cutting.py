"""What is said of texts that are too long is understood as transformers' tokenizers do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from distilroberta.runtime import InputError
from distilroberta.runtime.tasks.cutting import always_cuts, cuts, truncation_of


@pytest.mark.parametrize(
    ("truncation", "expected"),
    [
        (None, None),
        (True, True),
        ("longest_first", True),
        ("only_first", True),
        (False, False),
        ("do_not_truncate", False),
    ],
)
def test_ways_to_cut(truncation: Any, expected: bool | None) -> None:
    assert cuts(truncation) is expected


@pytest.mark.parametrize("truncation", ["", 0, 1, "only_second", [], np.array([1, 2])], ids=repr)
def test_unknown_way(truncation: Any) -> None:
    with pytest.raises(InputError, match=r"^truncation must be one of True, 'longest_first', "):
        cuts(truncation)
    with pytest.raises(InputError, match=r"^truncation must be one of True, False, 'do_not_trun"):
        always_cuts(truncation, ())


@pytest.mark.parametrize("truncation", [False, "do_not_truncate"])
def test_cutting_that_can_not_be_left_out(truncation: Any) -> None:
    with pytest.raises(InputError, match="in this task texts that are too long are always cut"):
        always_cuts(truncation)


def test_truncation_may_be_in_a_mapping() -> None:
    assert truncation_of(None, "kwargs", {"truncation": False}) is False
    assert truncation_of(True, "kwargs", {}) is True
    assert truncation_of(None, "kwargs", None) is None
    for given, message in (
        ([], "kwargs must be a mapping, found list"),
        ({"padding": True}, "kwargs may hold truncation and nothing else, found padding"),
        ({"truncation": True}, "truncation is given twice, by itself and in kwargs"),
    ):
        with pytest.raises(InputError, match=message):
            truncation_of(True, "kwargs", given)
