"""The errors of the quantization stage."""

from __future__ import annotations

from distilroberta.runtime.errors import DistilRobertaError


class QuantizationError(DistilRobertaError):
    """A graph that can't be made smaller in the way that was asked for."""
