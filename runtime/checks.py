"""Checks of parameters that several parts of the runtime take."""

from __future__ import annotations

from typing import Any

from distilroberta.runtime.errors import InputError

# How much of a value a message shows, in characters.
_SHOWN = 80


def whole(name: str, value: Any, least: int, most: int | None = None) -> int:
    """Return a whole number that can be used.

    Args:
        name: of the parameter, for the message.
        value: what was given.
        least: the smallest number that can be used.
        most: the largest; None, where there is none.

    Raises:
        InputError: it is no `int`, or out of range. True and False are no numbers.
    """
    if is_whole(value, least) and (most is None or value <= most):
        return int(value)
    bounds = f"from {least} up" if most is None else f"from {least} to {most}"
    raise InputError(f"{name} must be a whole number {bounds}, found {shown(value)}")


def is_whole(value: Any, least: int) -> bool:
    """Return whether a value is an `int` from `least` up. True and False are not."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def flag(name: str, value: Any) -> bool:
    """Return True or False as it is.

    Raises:
        InputError: it is anything else.
    """
    if not isinstance(value, bool):
        raise InputError(f"{name} must be True or False, found {shown(value)}")
    return value


def items(value: Any) -> list[Any] | None:
    """Return what an iterable holds, or None for a value that is none.

    A NumPy array without dimensions has an `__iter__` and is none all the same.
    """
    try:
        return list(value)
    except TypeError:
        return None


def plain(text: str) -> str:
    """Return a string of a subclass, such as `numpy.str_`, as a `str` of the same characters."""
    return str.__str__(text)


def shown(value: Any) -> str:
    """Return a value as a message shows it: in one line, and not all of a long one."""
    try:
        line = " ".join(repr(value).split())
    except ValueError:  # a whole number of more than 4300 digits
        line = f"a value of type {type(value).__name__}"
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."
