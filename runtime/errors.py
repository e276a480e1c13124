"""The errors this project raises on purpose.

Each message says what is wrong, in which file or argument, and what to do. Anything else that
comes out is a bug. `exit_code` is what the command line ends with: 1, the work failed; 2, the
words or the input were wrong.
"""

from __future__ import annotations


class DistilRobertaError(Exception):
    """Any error raised on purpose by this project."""

    exit_code = 1


class CheckpointError(DistilRobertaError):
    """A checkpoint that can't be found, read or used."""

    exit_code = 2


class ArtifactError(DistilRobertaError):
    """An artifact that is missing, incomplete, changed or not understood."""

    exit_code = 2


class ProviderError(DistilRobertaError):
    """An execution provider that is unknown or can't start."""

    exit_code = 2


class InputError(DistilRobertaError, ValueError):
    """A text, a parameter or an argument that can't be used."""

    exit_code = 2


class OutOfMemoryError(DistilRobertaError):
    """A call that there is not enough memory for. The session can go on with smaller ones."""


class NonFiniteError(DistilRobertaError):
    """A graph computed infinite values or NaN. The artifact is damaged, or FP16 overflowed."""
