"""Labels as files write them, to the ids of a model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

_SHOWN = 12


class Labels:
    """The labels of a model, as `id2label` in its config.json names them."""

    def __init__(self, id2label: Mapping[int, str]) -> None:
        """Take the names by id, from 0 up."""
        self.names = tuple(id2label[index] for index in sorted(id2label))
        self._exact = {name: index for index, name in enumerate(self.names)}
        folded = [name.casefold() for name in self.names]
        self._folded = {name: index for index, name in enumerate(folded) if folded.count(name) == 1}

    def __call__(self, value: Any) -> int:
        """Return the id of a label.

        Args:
            value: a name, first as it is spelt, then in any case; or an id, as a number or as its
                digits. A name that is digits comes before the id of the same digits.

        Raises:
            ValueError: the model has no such label.
        """
        if isinstance(value, str):
            name = value.strip()
            for known, key in ((self._exact, name), (self._folded, name.casefold())):
                if key in known:
                    return known[key]
        index = _whole(value)
        if index is None or not 0 <= index < len(self.names):
            raise ValueError(f"the model has no label {value!r}; it has {self._listed()}")
        return index

    def _listed(self) -> str:
        shown = [f"{index} {name}" for index, name in enumerate(self.names[:_SHOWN])]
        more = len(self.names) - len(shown)
        return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def number(value: Any) -> float:
    """Return the label of a regression.

    Raises:
        ValueError: it is not a finite number.
    """
    try:
        found = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        found = math.nan
    if not math.isfinite(found):
        raise ValueError(f"the label must be a number, found {value!r}")
    return found


def _whole(value: Any) -> int | None:
    # Parquet and CSV written from tables with gaps hold 1.0 for 1.
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return int(found) if found.is_integer() else None
