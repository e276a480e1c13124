"""The errors of measuring quality."""

from __future__ import annotations

from distilroberta.quantize.errors import QuantizationError
from distilroberta.runtime.errors import InputError


class DataError(InputError):
    """Labelled data that can't be read, or that does not fit the model."""


class QualityError(QuantizationError):
    """A variant whose answers are worse than allowed, or can't be scored.

    `variant` is its name. `lost` is what it loses and `allowed` the most it may, both in points of
    the main metric; both are None where there is no score.
    """

    def __init__(
        self, variant: str, message: str, lost: float | None = None, allowed: float | None = None
    ) -> None:
        """Keep the three beside the message."""
        super().__init__(message)
        self.variant, self.lost, self.allowed = variant, lost, allowed
