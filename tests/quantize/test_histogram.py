"""Where to cut off the rarest values: against numpy, a plain loop and onnxruntime's calibrators."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from onnxruntime.quantization.calibrate import HistogramCollector

from distilroberta.quantize.histogram import BINS, Histogram

Values = NDArray[np.float32]

COUNT = 100_000
LEVELS = 128
SHARE = 99.9905  # of no whole number of values, where rounding decides


def draw(kind: str) -> Values:
    random = np.random.default_rng(0)
    values = {
        "normal": lambda: random.normal(size=COUNT),
        "laplace": lambda: random.laplace(size=COUNT),
        "uniform": lambda: random.uniform(-1, 1, size=COUNT),
        "outliers": lambda: np.append(random.normal(size=COUNT), random.normal(0, 40, size=20)),
    }[kind]()
    return values.astype(np.float32)


KINDS = ["normal", "laplace", "uniform", "outliers"]


def histogram(values: Values, pieces: int = 1, reach: float | None = None) -> Histogram:
    found = Histogram(float(np.abs(values).max()) if reach is None else reach)
    for piece in np.array_split(values, pieces):
        found.add(piece)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_pieces_count_as_the_whole(kind: str) -> None:
    values = draw(kind)
    whole, pieces = histogram(values), histogram(values, 9)
    assert np.array_equal(whole.counts, pieces.counts)
    assert whole.counts.sum() == len(values)
    assert len(whole.counts) == BINS


def test_values_of_any_shape_count_by_their_size() -> None:
    found = Histogram(BINS)
    found.add(np.array([[0.5, -0.5], [3.25, -3.75]], np.float32))
    found.add(np.zeros((0, 4), np.float32))
    assert {bin_: int(count) for bin_, count in enumerate(found.counts) if count} == {0: 2, 3: 2}


def test_value_beyond_the_reach_counts_as_the_reach() -> None:
    found = Histogram(1.0)
    found.add(np.array([1.0, -7.0, 1e30], np.float32))
    assert found.counts[-1] == found.counts.sum() == 3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [50, 99, 99.9, 99.99, 100])
def test_percentile_is_that_of_numpy_within_a_bin(kind: str, share: float) -> None:
    values = draw(kind)
    found = histogram(values, 3)
    wanted = np.percentile(np.abs(values), share, method="inverted_cdf")
    assert -1e-6 <= found.percentile(share) - wanted <= found.reach / BINS * 1.0001


@pytest.mark.parametrize("kind", KINDS)
def test_percentile_is_that_of_onnxruntime(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    values = draw(kind)
    collector = HistogramCollector("percentile", True, BINS, LEVELS, SHARE, "same")
    collector.collect({"values": [values]})
    low, high = collector.compute_collection_result()["values"][:2]
    capsys.readouterr()  # it prints
    found = histogram(values)
    assert found.percentile(SHARE) == pytest.approx(high, abs=2 * found.reach / BINS)
    assert low == -high


def entropy_by_a_loop(counts: list[int]) -> int:
    """The bins that TensorRT's calibration keeps, one step at a time as its slides have it."""
    best, kept = math.inf, 0
    for bins in range(LEVELS, len(counts) + 1):
        reference = [float(count) for count in counts[:bins]]
        reference[-1] += sum(counts[bins:])
        candidate = [0.0] * bins
        for level in range(LEVELS):
            places = range(level * bins // LEVELS, (level + 1) * bins // LEVELS)
            filled = [place for place in places if counts[place]]
            for place in filled:
                candidate[place] = sum(counts[place] for place in filled) / len(filled)
        total, other = sum(reference), sum(candidate)
        if not other:
            continue
        divergence = 0.0
        for p, q in zip(reference, candidate, strict=True):
            if p:
                smallest = np.finfo(np.float64).tiny
                divergence += p / total * math.log(p / total / max(q / other, smallest))
        if divergence < best - 1e-12:
            best, kept = divergence, bins
    return kept


@pytest.mark.parametrize("kind", ["laplace", "outliers"])
def test_entropy_is_that_of_a_plain_loop(kind: str) -> None:
    found = histogram(draw(kind))
    kept = entropy_by_a_loop([int(count) for count in found.counts])
    assert LEVELS < kept < BINS
    assert found.entropy() == pytest.approx(found.reach * kept / BINS)


@pytest.mark.parametrize("kind", ["normal", "laplace"])
def test_entropy_is_near_that_of_onnxruntime(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Not the same: it merges bins to levels of unlike width, and counts both sides apart."""
    values = draw(kind)
    collector = HistogramCollector("entropy", True, BINS + 1, 2 * LEVELS, 99.99, "same")
    collector.collect({"values": [values]})
    high = float(collector.compute_collection_result()["values"][1])
    capsys.readouterr()  # it prints
    found = histogram(values)
    assert high < 0.9 * found.reach
    assert found.entropy() == pytest.approx(high, rel=0.25)


def test_entropy_keeps_what_is_spread_evenly() -> None:
    found = histogram(draw("uniform"))
    assert found.entropy() == pytest.approx(found.reach, rel=0.02)


@pytest.mark.parametrize("cut", [Histogram.entropy, lambda found: found.percentile(99.99)])
def test_values_that_are_all_zero_have_a_cut(cut: Callable[[Histogram], float]) -> None:
    found = histogram(np.zeros(10, np.float32), reach=1.0)
    assert 0 < cut(found) <= 1
