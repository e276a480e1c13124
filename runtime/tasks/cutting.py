"""What a call says about a text that is too long for the model: whether it is cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from distilroberta.runtime.checks import shown
from distilroberta.runtime.errors import InputError

# Of a single text these ways to cut are the same.
OF_ONE_TEXT = ("longest_first", "only_first")
_KEEPS = "do_not_truncate"


def cuts(truncation: Any, ways: Sequence[str] = OF_ONE_TEXT) -> bool | None:
    """Return whether a text that is too long is cut, None where nothing is said.

    Args:
        truncation: None, True, False, one of `ways`, or `do_not_truncate`.
        ways: the ways to cut that transformers names and that do here what True does.

    Raises:
        InputError: it is anything else.
    """
    if truncation is None:
        return None
    known = (True, *ways, False, _KEEPS)
    if not isinstance(truncation, (bool, str)) or truncation not in known:
        raise InputError(
            f"truncation must be one of {', '.join(map(repr, known))}, found {shown(truncation)}"
        )
    return truncation not in (False, _KEEPS)


def always_cuts(truncation: Any, ways: Sequence[str] = OF_ONE_TEXT) -> None:
    """Check a task's `truncation` that has no effect, as its texts are cut in any case.

    Raises:
        InputError: it says that texts are not cut, or is none of what `cuts` takes.
    """
    if cuts(truncation, ways) is False:
        raise InputError(
            f"truncation can't be {truncation!r}: in this task texts that are too long are always "
            "cut"
        )


def truncation_of(truncation: Any, name: str, given: Any) -> Any:
    """Return the truncation that is given by itself, or as transformers has it, in a mapping.

    Args:
        truncation: what is given by itself, None for nothing.
        name: of the mapping, for the messages.
        given: the mapping, or None.

    Raises:
        InputError: it is no mapping, holds something else, or both say something.
    """
    if given is None:
        return truncation
    if not isinstance(given, Mapping):
        raise InputError(f"{name} must be a mapping, found {type(given).__name__}")
    others = [str(key) for key in given if key != "truncation"]
    if others:
        raise InputError(f"{name} may hold truncation and nothing else, found {', '.join(others)}")
    if truncation is not None and "truncation" in given:
        raise InputError(f"truncation is given twice, by itself and in {name}: give one")
    return given.get("truncation") if truncation is None else truncation
