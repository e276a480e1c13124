"""The ranges of what products read: all of it, or without the rarest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization.calibrate import CalibrationDataReader, MinMaxCalibrater

from distilroberta.quantize import products, ranges
from distilroberta.quantize.errors import QuantizationError
from distilroberta.quantize.options import METHODS
from distilroberta.quantize.ranges import Operand, Range, find
from distilroberta.quantize.smoothing import ChannelRange, Smoothing
from distilroberta.runtime import InputError

Feeds = list[dict[str, NDArray[np.int64]]]
Table = NDArray[np.float32]

ROWS, CHANNELS = 4096, 6
RARE = 3  # the row of the outliers, which occurs once


def plain(seen: ChannelRange) -> Smoothing:
    return Smoothing(np.zeros_like(seen.low), np.ones_like(seen.low))


OPERANDS = {"weight": Operand("rows", CHANNELS, plain)}


@pytest.fixture
def table() -> Table:
    """Rows drawn about their channel's mean; channel 2 is far from zero, one row from the rest."""
    values = np.random.default_rng(0).normal(size=(ROWS, CHANNELS)).astype(np.float32)
    values[:, 2] = values[:, 2] / 10 + 50
    values[RARE, 1], values[RARE, 4] = 40, -60
    return values


def lookup(table: Table) -> onnx.ModelProto:
    """A graph that gives the rows of a table, by which one knows what it computes."""
    node = helper.make_node("Gather", ["table", "input_ids"], ["rows"])
    graph = helper.make_graph(
        [node, helper.make_node("Neg", ["rows"], ["logits"])],
        "g",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "length"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)],
        initializer=[numpy_helper.from_array(table, "table")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def in_pieces(ids: Any, pieces: int = 7) -> Feeds:
    return [{"input_ids": piece[None]} for piece in np.array_split(np.asarray(ids), pieces)]


EVERY = in_pieces(np.arange(ROWS))


def test_minmax_keeps_everything(table: Table) -> None:
    found = find(lookup(table), OPERANDS, EVERY, "minmax")
    assert (found.method, found.texts, set(found.of)) == ("minmax", 7, {"weight"})
    one = found.of["weight"]
    assert np.array_equal(one.low, table.min(axis=0))
    assert np.array_equal(one.high, table.max(axis=0))
    assert one.mean == pytest.approx(table.mean(axis=0, dtype=np.float64), abs=1e-6)
    assert {values.dtype for values in (one.low, one.high, one.mean)} == {np.dtype(np.float32)}


@pytest.mark.parametrize("method", ["entropy", "percentile"])
def test_rarest_values_are_cut_and_the_rest_is_kept(table: Table, method: str) -> None:
    one = find(lookup(table), OPERANDS, EVERY, method).of["weight"]
    others = np.delete(table, RARE, axis=0)
    assert one.high[1] < 10 < table[RARE, 1]
    assert one.low[4] > -10 > table[RARE, 4]
    # Channel 2 is always near 50: that is where it is, not how far it goes.
    assert (one.low[2], one.high[2]) == (table[:, 2].min(), table[:, 2].max())
    inside = (others >= one.low) & (others <= one.high)
    assert inside.mean() > 0.99
    assert (one.low >= table.min(axis=0)).all()
    assert (one.high <= table.max(axis=0)).all()
    assert np.array_equal(
        one.mean, find(lookup(table), OPERANDS, EVERY, "minmax").of["weight"].mean
    )


def test_percentile_cuts_the_values_beyond_it(table: Table) -> None:
    one = find(lookup(table), OPERANDS, EVERY, "percentile").of["weight"]
    far = np.abs(table - table.mean(axis=0))
    limit = np.percentile(far, 99.99, method="inverted_cdf")
    assert one.high[1] - one.mean[1] == pytest.approx(limit, abs=2 * float(far.max()) / 2048)


@pytest.mark.parametrize("method", ["entropy", "percentile"])
def test_how_far_a_value_lies_is_measured_in_units_of_its_channel(
    table: Table, method: str
) -> None:
    """Once smoothing makes channel 5 as small as the others, its values are none to cut."""
    table[:, 5] *= 1000
    units = np.array([1, 1, 1, 1, 1, 1000], np.float32)
    smoothed = Operand("rows", CHANNELS, lambda seen: Smoothing(seen.low, units))
    one = find(lookup(table), {"weight": smoothed}, EVERY, method).of["weight"]
    assert one.high[1] < 10
    kept = (table[:, 5] >= one.low[5]) & (table[:, 5] <= one.high[5])
    assert kept.mean() > 0.99


@pytest.mark.parametrize("method", METHODS)
def test_values_are_given_to_smooth_about_their_mean(table: Table, method: str) -> None:
    given: list[ChannelRange] = []

    def smooth(seen: ChannelRange) -> Smoothing:
        given.append(seen)
        return plain(seen)

    one = find(lookup(table), {"w": Operand("rows", CHANNELS, smooth)}, EVERY, method).of["w"]
    assert len(given) == (method != "minmax")
    for seen in given:
        assert (seen.low + seen.high) / 2 == pytest.approx(one.mean, abs=1e-4)
        assert (seen.low <= table.min(axis=0) + 1e-4).all()
        assert (seen.high >= table.max(axis=0) - 1e-4).all()


@pytest.mark.parametrize("method", METHODS)
def test_products_of_the_same_values_have_ranges_of_their_own(table: Table, method: str) -> None:
    operands = {"a": Operand("rows", CHANNELS, plain), "b": Operand("logits", CHANNELS, plain)}
    found = find(lookup(table), operands | {"c": operands["a"]}, EVERY, method).of
    assert set(found) == {"a", "b", "c"}
    assert np.array_equal(found["a"].low, found["c"].low)
    assert found["b"].high == pytest.approx(-found["a"].low, abs=0.1)


@pytest.mark.parametrize("method", METHODS)
def test_channel_that_never_changes_has_a_range(method: str) -> None:
    still = np.full((8, CHANNELS), 3, np.float32)
    one = find(lookup(still), OPERANDS, in_pieces(np.arange(8), 2), method).of["weight"]
    assert (one.low == 3).all()
    assert (one.high == 3).all()
    assert (one.mean == 3).all()


@pytest.mark.parametrize("method", METHODS)
def test_same_texts_give_the_same_ranges(table: Table, method: str) -> None:
    first, second = (find(lookup(table), OPERANDS, EVERY, method).of["weight"] for _ in range(2))
    for end in ("low", "high", "mean"):
        assert np.array_equal(getattr(first, end), getattr(second, end))


def test_minmax_takes_one_pass(table: Table) -> None:
    passes: list[int] = []

    class Counted:
        def __iter__(self) -> Iterator[dict[str, NDArray[np.int64]]]:
            passes.append(1)
            return iter(EVERY)

    find(lookup(table), OPERANDS, Counted(), "minmax")
    assert len(passes) == 1
    find(lookup(table), OPERANDS, Counted(), "entropy")
    assert len(passes) == 3


def test_unknown_method_is_refused(table: Table) -> None:
    message = r"unknown method 'max': choose from minmax, entropy, percentile"
    with pytest.raises(InputError, match=message):
        find(lookup(table), OPERANDS, EVERY, "max")


@pytest.mark.parametrize("method", METHODS)
def test_no_text_is_refused(table: Table, method: str) -> None:
    with pytest.raises(QuantizationError, match="no text to calibrate on"):
        find(lookup(table), OPERANDS, [], method)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(table: Table, value: float) -> None:
    table[5, 1] = value
    with pytest.raises(QuantizationError, match="values that are not finite: rows"):
        find(lookup(table), OPERANDS, EVERY, "minmax")


class Reader(CalibrationDataReader):  # type: ignore[misc]
    """Batches as onnxruntime's calibrators take them."""

    def __init__(self, feeds: Feeds) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> dict[str, NDArray[np.int64]] | None:
        return next(self._feeds, None)


def test_minmax_of_a_model_is_that_of_onnxruntime(
    wide_classifier: Any, calibration: Callable[..., Feeds], tmp_path: Path
) -> None:
    model, feeds = wide_classifier.graphs.standard, calibration(wide_classifier, 5)
    onnx.save(model, tmp_path / "model.onnx")
    calibrator = MinMaxCalibrater(
        tmp_path / "model.onnx", ["MatMul"], str(tmp_path / "augmented.onnx")
    )
    calibrator.augment_graph()
    calibrator.create_inference_session()
    calibrator.collect_data(Reader(feeds))
    wanted = calibrator.compute_data()

    found = products.find(model.graph)
    operands = {one.weight: Operand(one.values, 0, plain) for one in found}
    ours = ranges.find(model, operands, feeds, "minmax")
    assert ours.texts == 5
    assert len(ours.of) == len(found) >= 8
    for product in found:
        one: Range = ours.of[product.weight]
        low, high = (np.ravel(end).item() for end in wanted[product.values].range_value)
        assert float(one.low.min()) == pytest.approx(low, abs=1e-5)
        assert float(one.high.max()) == pytest.approx(high, abs=1e-5)
