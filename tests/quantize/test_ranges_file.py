"""Ranges in a file: what is written is read, and nothing else is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from distilroberta.quantize import ranges_file
from distilroberta.quantize.errors import QuantizationError
from distilroberta.quantize.ranges import Range, Ranges
from distilroberta.runtime import InputError

CHANNELS = {"a": 3, "b": 5}


@pytest.fixture
def graph() -> onnx.GraphProto:
    """A graph with two weights."""
    random = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(random.normal(size=(rows, 4)).astype(np.float32), name)
        for name, rows in CHANNELS.items()
    ]
    return helper.make_graph([], "g", [], [], initializer=weights)


def ranges(seed: int = 1) -> Ranges:
    """Ranges whose numbers have all digits of a float32, and some of the smallest and largest."""
    random = np.random.default_rng(seed)
    found = {}
    for name, channels in CHANNELS.items():
        low, high = np.sort(random.normal(size=(2, channels)), axis=0).astype(np.float32)
        low[0], high[0] = np.finfo(np.float32).min, np.finfo(np.float32).smallest_subnormal
        found[name] = Range(low, high, (low / 2 + high / 2).astype(np.float32))
    return Ranges("entropy", 168, found)


@pytest.fixture
def saved(tmp_path: Path, graph: onnx.GraphProto) -> Path:
    """A file of ranges."""
    path = tmp_path / "ranges.json"
    ranges_file.save(path, ranges(), graph)
    return path


def test_what_is_saved_is_read_bit_by_bit(saved: Path, graph: onnx.GraphProto) -> None:
    found, wanted = ranges_file.load(saved, graph, CHANNELS), ranges()
    assert (found.method, found.texts) == ("entropy", 168)
    assert list(found.of) == list(wanted.of)
    for name, one in wanted.of.items():
        for end in ("low", "high", "mean"):
            assert getattr(found.of[name], end).dtype == np.float32
            assert getattr(found.of[name], end).tobytes() == getattr(one, end).tobytes()


def test_file_is_json_that_says_what_it_is(saved: Path, graph: onnx.GraphProto) -> None:
    tree = json.loads(saved.read_text("utf-8"))
    assert (tree["format"], tree["version"]) == ("distilroberta ranges", 1)
    assert (tree["method"], tree["texts"]) == ("entropy", 168)
    assert tree["model"] == ranges_file.digest(graph, CHANNELS)
    assert {name: len(one["high"]) for name, one in tree["ranges"].items()} == CHANNELS


def test_same_ranges_are_the_same_bytes(saved: Path, graph: onnx.GraphProto) -> None:
    before = saved.read_bytes()
    ranges_file.save(saved, ranges(), graph)
    assert saved.read_bytes() == before
    ranges_file.save(saved, ranges(2), graph)
    assert saved.read_bytes() != before
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


@pytest.mark.parametrize("change", ["value", "name", "shape"])
def test_ranges_of_another_model_are_refused(
    saved: Path, graph: onnx.GraphProto, change: str
) -> None:
    tensor, channels = graph.initializer[0], dict(CHANNELS)
    values = numpy_helper.to_array(tensor).copy()
    if change == "value":
        values[2, 1] = np.nextafter(values[2, 1], np.float32(9))
    if change == "name":
        channels["c"] = channels.pop("a")
    if change == "shape":
        values = values.reshape(4, 3)
    tensor.CopyFrom(numpy_helper.from_array(values, "c" if change == "name" else "a"))
    message = r"ranges\.json holds the ranges of a model with other weights: .* --save-ranges"
    with pytest.raises(InputError, match=message):
        ranges_file.load(saved, graph, channels)


Damage = Callable[[dict[str, Any]], Any]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda tree: tree.pop("format"), "is no file of ranges"),
        (lambda tree: tree.update(version=2), "has version 2, this release reads 1"),
        (lambda tree: tree.pop("version"), "has version None, this release reads 1"),
        (lambda tree: tree.update(model="0" * 64), "holds the ranges of a model with other"),
        (lambda tree: tree.pop("method"), "is damaged"),
        (lambda tree: tree.update(method="max"), "is damaged"),
        (lambda tree: tree.update(method=["minmax"]), "is damaged"),
        (lambda tree: tree.update(texts="many"), "is damaged"),
        (lambda tree: tree.update(ranges=[]), "is damaged"),
        (lambda tree: tree["ranges"].pop("a"), "is damaged"),
        (lambda tree: tree["ranges"].update(c=tree["ranges"]["a"]), "is damaged"),
        (lambda tree: tree["ranges"].update(a=[1, 2, 3]), "is damaged"),
        (lambda tree: tree["ranges"]["a"].pop("mean"), "is damaged"),
        (lambda tree: tree["ranges"]["a"]["low"].pop(), "is damaged"),
        (lambda tree: tree["ranges"]["a"].update(low=tree["ranges"]["b"]["low"]), "is damaged"),
        (lambda tree: tree["ranges"]["a"]["high"].__setitem__(1, None), "is damaged"),
        (lambda tree: tree["ranges"]["a"]["high"].__setitem__(1, [1]), "is damaged"),
        (lambda tree: tree["ranges"]["a"]["high"].__setitem__(1, 1e39), "is damaged"),
        (lambda tree: tree["ranges"]["a"]["high"].__setitem__(1, float("nan")), "is damaged"),
        (lambda tree: tree["ranges"]["a"]["high"].__setitem__(1, -9), "is damaged"),
    ],
)
def test_file_that_is_not_as_it_should_be_is_refused(
    saved: Path, graph: onnx.GraphProto, damage: Damage, message: str
) -> None:
    tree = json.loads(saved.read_text("utf-8"))
    damage(tree)
    saved.write_text(json.dumps(tree))
    with pytest.raises(InputError, match=rf"ranges\.json {message}") as error:
        ranges_file.load(saved, graph, CHANNELS)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", ["[]", "3", '"text"', "null"])
def test_json_of_another_kind_is_refused(
    tmp_path: Path, graph: onnx.GraphProto, content: str
) -> None:
    path = tmp_path / "ranges.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"ranges\.json is no file of ranges"):
        ranges_file.load(path, graph, CHANNELS)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000])
def test_file_that_is_no_json_is_refused(
    tmp_path: Path, graph: onnx.GraphProto, content: bytes
) -> None:
    path = tmp_path / "ranges.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"ranges\.json is not JSON, so no file of ranges"):
        ranges_file.load(path, graph, CHANNELS)


def test_missing_file_is_an_input_error(tmp_path: Path, graph: onnx.GraphProto) -> None:
    with pytest.raises(InputError, match=r"none\.json can't be read: No such file"):
        ranges_file.load(tmp_path / "none.json", graph, CHANNELS)


def test_place_that_can_hold_no_file_is_refused(tmp_path: Path, graph: onnx.GraphProto) -> None:
    for path, wrong in ((tmp_path, "is a folder"), (tmp_path / "no" / "x.json", "lies in no")):
        with pytest.raises(InputError, match=f"ranges can't be saved: .* {wrong}"):
            ranges_file.save(path, ranges(), graph)
    assert list(tmp_path.iterdir()) == []


def test_failed_write_leaves_the_old_file(
    saved: Path, graph: onnx.GraphProto, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> int:
        raise OSError(28, "No space left on device")

    before = saved.read_bytes()
    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(QuantizationError, match=r"ranges\.json can't be written: No space left"):
        ranges_file.save(saved, ranges(2), graph)
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]
