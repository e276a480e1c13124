"""Names of figures: of their files, and of the places on the page that links lead to."""

from __future__ import annotations

import re


class Names:
    """Makes names of letters, digits and hyphens, and none twice."""

    def __init__(self) -> None:
        """Begin with none taken."""
        self._taken: set[str] = set()

    def take(self, *words: str) -> str:
        """Return a name made of some words, with a number behind if another is called so."""
        plain = re.sub(r"[^a-z0-9]+", "-", " ".join(words).lower()).strip("-")
        name, number = plain, 1
        while name in self._taken:
            number += 1
            name = f"{plain}-{number}"
        self._taken.add(name)
        return name
