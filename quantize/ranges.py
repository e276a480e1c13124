"""The ranges of what products read, found by watching a model on texts.

Methods: `minmax` keeps every value that was seen; `percentile` and `entropy` cut off the rarest
(see `histogram`). What is cut is how far a value lies from its channel's mean, once the channels
are smoothed (see `smoothing`): a channel that is always far from zero is no outlier.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from distilroberta.quantize.errors import QuantizationError
from distilroberta.quantize.histogram import Histogram
from distilroberta.quantize.observe import observe
from distilroberta.quantize.options import METHODS, check_method
from distilroberta.quantize.recipe import Feed
from distilroberta.quantize.smoothing import ChannelRange, Smoothing, Vector

# In per cent of the values.
_SHARE = 99.99
_CUTS: dict[str, Callable[[Histogram], float] | None] = {
    "minmax": None,
    "entropy": Histogram.entropy,
    "percentile": lambda histogram: histogram.percentile(_SHARE),
}
assert set(_CUTS) == set(METHODS)


@dataclass(frozen=True)
class Operand:
    """What a product reads: the values' name, their channels, and how these are smoothed."""

    values: str
    channels: int
    smooth: Callable[[ChannelRange], Smoothing]


@dataclass(frozen=True)
class Range:
    """The lowest and highest value of each channel to be kept, and its mean; float32 (channels,).

    The mean is that of all values.
    """

    low: Vector
    high: Vector
    mean: Vector

    @property
    def kept(self) -> ChannelRange:
        """The range without the mean."""
        return ChannelRange(self.low, self.high)


@dataclass(frozen=True)
class Ranges:
    """Ranges by the name of the weight that multiplies the values.

    Names of values differ between the two graphs of an artifact, those of weights do not. `texts`
    is how many texts were watched.
    """

    method: str
    texts: int
    of: Mapping[str, Range]


def find(
    model: onnx.ModelProto, operands: Mapping[str, Operand], feeds: Iterable[Feed], method: str
) -> Ranges:
    """Watch a model on texts.

    Args:
        model: an FP32 graph, which is not changed.
        operands: what is watched, by the name of the weight.
        feeds: batches, which are iterated over twice unless `method` is `minmax`.
        method: one of `options.METHODS`.

    Raises:
        InputError: there is no such method.
        QuantizationError: there is no batch, or the model computes something that is not finite.
    """
    check_method(method)
    cut = _CUTS[method]
    seen, texts = _watch(model, operands, feeds)
    if cut is None:
        return Ranges(method, texts, seen)
    far = {name: _Far.of(seen[name], operand) for name, operand in operands.items()}
    for values in observe(model, [operand.values for operand in operands.values()], feeds):
        for name, operand in operands.items():
            far[name].add(values[operand.values])
    kept = {name: one.within(seen[name], cut(one.histogram)) for name, one in far.items()}
    return Ranges(method, texts, kept)


def _watch(
    model: onnx.ModelProto, operands: Mapping[str, Operand], feeds: Iterable[Feed]
) -> tuple[dict[str, Range], int]:
    names = list(dict.fromkeys(operand.values for operand in operands.values()))
    ranges = {name: ChannelRange.nothing() for name in names}
    sums: dict[str, Any] = dict.fromkeys(names, 0.0)
    counts = dict.fromkeys(names, 0)
    texts = 0
    for texts, values in enumerate(observe(model, names, feeds), 1):  # noqa: B007
        for name, array in values.items():
            rows = array.reshape(-1, array.shape[-1])
            ranges[name].add(rows)
            sums[name] += rows.sum(axis=0, dtype=np.float64)
            counts[name] += len(rows)
    if not texts:
        raise QuantizationError("there is no text to calibrate on")
    for name in names:
        if not np.isfinite(sums[name]).all():
            raise QuantizationError(f"the model computes values that are not finite: {name}")
    found = {
        name: Range(
            ranges[name].low, ranges[name].high, (sums[name] / counts[name]).astype(np.float32)
        )
        for name in names
    }
    return {weight: found[operand.values] for weight, operand in operands.items()}, texts


@dataclass(frozen=True)
class _Far:
    # How far values lie from the mean, in units of what their channel is divided by.
    mean: Vector
    unit: Vector
    histogram: Histogram

    @classmethod
    def of(cls, seen: Range, operand: Operand) -> _Far:
        reach = np.maximum(seen.high - seen.mean, seen.mean - seen.low)
        unit = operand.smooth(ChannelRange(seen.mean - reach, seen.mean + reach)).divisor
        return cls(seen.mean, unit, Histogram(float((reach / unit).max()) or 1.0))

    def add(self, values: NDArray[np.float32]) -> None:
        self.histogram.add((values - self.mean) / self.unit)

    def within(self, seen: Range, limit: float) -> Range:
        reach = np.float32(limit) * self.unit
        low = np.maximum(seen.low, self.mean - reach)
        return Range(low, np.minimum(seen.high, self.mean + reach), self.mean)
