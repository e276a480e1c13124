"""The files a session reads, and whether they are still those it was opened from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from distilroberta.runtime.errors import ArtifactError


class GraphFiles:
    """A graph's file, and those it takes weights from."""

    def __init__(self, digests: Mapping[Path, str | None]) -> None:
        """Note which files these are now.

        Args:
            digests: the SHA-256 that each should have, the graph first; None where it is not known.

        Raises:
            ArtifactError: a file can't be read.
        """
        self.graph = next(iter(digests))
        self._digests = dict(digests)
        self._seen = {path: _identity(path) for path in digests}

    def check_unchanged(self) -> None:
        """Check that each file is the one that was noted, or has the SHA-256 it should have.

        Raises:
            ArtifactError: it is not, or can't be read.
        """
        for path, seen in self._seen.items():
            if _identity(path) != seen and self._sha256(path) != self._digests[path]:
                raise ArtifactError(
                    f"{path} was changed since it was loaded: load the artifact again"
                )

    def digest(self) -> str:
        """Return one SHA-256 for the content of all files."""
        from distilroberta.runtime.digest import sha256_of_all

        return sha256_of_all(
            {path.name: known or self._sha256(path) for path, known in self._digests.items()}
        )

    @staticmethod
    def _sha256(path: Path) -> str:
        # Where it is needed: the library of hashes is as large as this whole package.
        from distilroberta.runtime.digest import sha256_of

        return sha256_of(path)


def _identity(path: Path) -> tuple[int, ...]:
    try:
        found = os.stat(path)
    except OSError as error:
        raise ArtifactError(
            f"{path} can't be read ({error.strerror}); build or copy the artifact again"
        ) from error
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
