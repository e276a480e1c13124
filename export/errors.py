"""The errors of the export stage."""

from __future__ import annotations

from distilroberta.runtime.errors import CheckpointError, DistilRobertaError


class ExportError(DistilRobertaError):
    """A graph that could not be made or written."""


class HubError(CheckpointError):
    """A checkpoint that could not be fetched from the model hub."""

    exit_code = 1


class ParityError(ExportError):
    """A graph that does not answer as PyTorch does.

    `name` is the output or check that failed, `difference` the largest absolute difference found
    and `tolerance` the largest allowed; both are None where names or shapes differ.
    """

    def __init__(
        self,
        name: str,
        message: str,
        difference: float | None = None,
        tolerance: float | None = None,
    ) -> None:
        """Keep the three figures beside the message."""
        super().__init__(message)
        self.name, self.difference, self.tolerance = name, difference, tolerance
