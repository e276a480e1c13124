"""The errors of the quantization stage."""

from __future__ import annotations

from distilroberta.runtime.errors import DistilRobertaError


class QuantizationError(DistilRobertaError):
    """A graph that can't be made smaller in the way that was asked for."""


class StagingError(DistilRobertaError):
    """An artifact that could not be written: the disk is full, or fails in another way."""


class AgreementError(QuantizationError):
    """A variant whose answers are too far from those of the model it was made from."""
