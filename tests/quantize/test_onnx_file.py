"""The file that is written holds the model, and its weights stand where the ranges say."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import onnx
import pytest
from hypothesis import strategies
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from distilroberta.quantize import onnx_file
from distilroberta.quantize.errors import QuantizationError
from distilroberta.quantize.onnx_file import SHARED_FROM_BYTES, Range

Run = Callable[[Any, dict[str, NDArray[Any]]], Any]

ALIGNMENT = 64
# Where the length of a length, in a protobuf message, grows by a byte.
BOUNDARIES = (127, 128, 16383, 16384)


def model_of(tensors: Sequence[TensorProto], name: str = "g") -> onnx.ModelProto:
    """A graph that adds every float weight, of one element or more, to its input."""
    nodes = []
    current = "x"
    for index, tensor in enumerate(tensors):
        if tensor.data_type == TensorProto.FLOAT:
            nodes.append(helper.make_node("ReduceSum", [tensor.name], [f"s{index}"], keepdims=0))
            nodes.append(helper.make_node("Add", [current, f"s{index}"], [f"y{index}"]))
            current = f"y{index}"
    nodes.append(helper.make_node("Identity", [current], ["y"]))
    ends = [helper.make_tensor_value_info(end, TensorProto.FLOAT, [1]) for end in ("x", "y")]
    graph = helper.make_graph(nodes, name, ends[:1], ends[1:], initializer=list(tensors))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def floats(name: str, size: int, seed: int = 0) -> TensorProto:
    values = np.random.default_rng(seed).normal(size=size).astype(np.float32)
    return numpy_helper.from_array(values, name)


def codes(name: str, size: int, seed: int = 0) -> TensorProto:
    values = np.random.default_rng(seed).integers(0, 256, size=size, dtype=np.uint8)
    return numpy_helper.from_array(values, name)


def without_raw_data(name: str, size: int) -> TensorProto:
    values = np.random.default_rng(1).normal(size=size).astype(np.float32)
    return helper.make_tensor(name, TensorProto.FLOAT, [size], values.tolist())


def arrays(model: onnx.ModelProto) -> dict[str, NDArray[Any]]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def check_written(model: onnx.ModelProto, path: Path) -> dict[bytes, Range]:
    """Write a model; check the file, the ranges and the alignment; return the ranges."""
    ranges = onnx_file.write(model, path)
    found, wanted = arrays(onnx.load(path)), arrays(model)
    assert list(found) == list(wanted)
    for name, values in wanted.items():
        assert found[name].dtype == values.dtype, name
        assert found[name].shape == values.shape, name
        assert found[name].tobytes() == values.tobytes(), name
    content = path.read_bytes()
    large = {v.tobytes() for v in wanted.values() if v.nbytes >= SHARED_FROM_BYTES}
    assert set(ranges) == {hashlib.sha256(values).digest() for values in large}
    for key, place in ranges.items():
        assert place.offset % ALIGNMENT == 0
        held = content[place.offset : place.offset + place.length]
        assert hashlib.sha256(held).digest() == key
    return ranges


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file to overwrite."""
    return tmp_path_factory.mktemp("written") / "model.onnx"


def test_exported_graph_is_the_same_after_a_round_trip(
    standard: onnx.ModelProto, tmp_path: Path
) -> None:
    assert len(check_written(standard, tmp_path / "g.onnx")) > 10
    found = onnx.load(tmp_path / "g.onnx")
    found.graph.ClearField("doc_string")  # which is the padding
    wanted = onnx.ModelProto()
    wanted.CopyFrom(standard)
    for model in (found, wanted):
        del model.graph.initializer[:]
    assert found.SerializeToString(deterministic=True) == wanted.SerializeToString(
        deterministic=True
    )


def test_file_is_accepted_and_answers_as_the_model(
    standard: onnx.ModelProto, feeds: dict[str, Any], run: Run, tmp_path: Path
) -> None:
    onnx_file.write(standard, tmp_path / "g.onnx")
    onnx.checker.check_model(str(tmp_path / "g.onnx"), full_check=True)
    assert np.array_equal(run(tmp_path / "g.onnx", feeds), run(standard, feeds))


def test_same_model_gives_the_same_bytes(standard: onnx.ModelProto, tmp_path: Path) -> None:
    copied = onnx.ModelProto.FromString(standard.SerializeToString())
    onnx_file.write(standard, tmp_path / "a.onnx")
    onnx_file.write(copied, tmp_path / "b.onnx")
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_model_is_not_changed(standard: onnx.ModelProto, tmp_path: Path) -> None:
    before = standard.SerializeToString(deterministic=True)
    onnx_file.write(standard, tmp_path / "g.onnx")
    assert standard.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize("size", [0, 1, 100, 5000])
def test_weights_that_are_not_raw_become_raw(size: int, tmp_path: Path) -> None:
    tensor = without_raw_data("w", size)
    check_written(model_of([tensor]), tmp_path / "g.onnx")
    (found,) = onnx.load(tmp_path / "g.onnx").graph.initializer
    assert found.HasField("raw_data")
    assert len(found.float_data) == 0
    assert np.array_equal(numpy_helper.to_array(found), numpy_helper.to_array(tensor))


@pytest.mark.parametrize(
    "dtype", [np.float16, np.float64, np.int8, np.uint8, np.int32, np.int64, np.bool_]
)
def test_weights_of_any_type_are_kept(dtype: type[np.generic], tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 2, size=(3, 700)).astype(dtype)
    check_written(model_of([numpy_helper.from_array(values, "w")]), tmp_path / "g.onnx")


@pytest.mark.parametrize("size", [size + change for size in BOUNDARIES for change in range(-4, 2)])
def test_weight_as_long_as_a_length_that_grows(size: int, scratch: Path) -> None:
    check_written(model_of([codes("a", size), codes("b", size, 1), floats("c", 300)]), scratch)


@pytest.mark.parametrize("boundary", [2**14, 2**21])
def test_weights_are_aligned_where_the_length_of_the_graph_grows(
    boundary: int, scratch: Path, run: Run
) -> None:
    """The padding depends on where the graph begins, and that on the length of the graph."""
    for size in range(boundary - 190, boundary - 60):
        check_written(model_of([codes("w", size)]), scratch)
        assert run(scratch, {"x": np.float32([size])}) == size


@hypothesis.settings(max_examples=150, deadline=None, derandomize=True)
@hypothesis.given(
    sizes=strategies.lists(strategies.integers(0, 3000), max_size=6),
    name=strategies.text("n", min_size=1, max_size=150),
)
def test_any_sizes_are_written_as_they_are(scratch: Path, sizes: list[int], name: str) -> None:
    tensors = [codes(f"{name}{index}", size, index) for index, size in enumerate(sizes)]
    check_written(model_of(tensors, name), scratch)


def test_small_weights_have_no_range(tmp_path: Path) -> None:
    tensors = [codes("small", SHARED_FROM_BYTES - 1), codes("large", SHARED_FROM_BYTES)]
    (found,) = onnx_file.write(model_of(tensors), tmp_path / "g.onnx").values()
    assert found.length == SHARED_FROM_BYTES


def test_graph_that_reads_from_another_answers_bit_by_bit_as_one_that_does_not(
    standard: onnx.ModelProto,
    served: onnx.ModelProto,
    feeds: dict[str, Any],
    run: Run,
    tmp_path: Path,
) -> None:
    ranges = onnx_file.write(standard, tmp_path / "standard.onnx")
    reading = onnx.ModelProto.FromString(served.SerializeToString())
    onnx_file.read_from(reading, ranges, "standard.onnx")
    onnx_file.write(reading, tmp_path / "served.onnx")
    onnx_file.write(served, tmp_path / "alone.onnx")
    found, wanted = run(tmp_path / "served.onnx", feeds), run(tmp_path / "alone.onnx", feeds)
    assert found.shape[0] == 3
    assert np.array_equal(found, wanted)
    onnx.checker.check_model(str(tmp_path / "served.onnx"))


def test_every_large_weight_is_read_from_the_other_file(
    standard: onnx.ModelProto, served: onnx.ModelProto, tmp_path: Path
) -> None:
    ranges = onnx_file.write(standard, tmp_path / "standard.onnx")
    reading = onnx.ModelProto.FromString(served.SerializeToString())
    onnx_file.read_from(reading, ranges, "standard.onnx")
    for tensor in reading.graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            fields = {field.key: field.value for field in tensor.external_data}
            assert fields["location"] == "standard.onnx"
            assert not tensor.HasField("raw_data")
        else:
            assert len(tensor.raw_data) < SHARED_FROM_BYTES, tensor.name


def test_weight_the_other_file_lacks_stays(tmp_path: Path) -> None:
    ranges = onnx_file.write(model_of([floats("a", 500)]), tmp_path / "one.onnx")
    other = model_of([floats("renamed", 500), floats("b", 500, 1), without_raw_data("c", 9)])
    onnx_file.read_from(other, ranges, "one.onnx")
    assert [tensor.data_location for tensor in other.graph.initializer] == [
        *(TensorProto.EXTERNAL, TensorProto.DEFAULT, TensorProto.DEFAULT)
    ]
    onnx_file.write(other, tmp_path / "two.onnx")
    found = arrays(onnx.load(tmp_path / "two.onnx"))
    for tensor in (floats("renamed", 500), floats("b", 500, 1), without_raw_data("c", 9)):
        assert np.array_equal(found[tensor.name], numpy_helper.to_array(tensor))


def test_model_of_more_than_two_gigabytes_is_refused_before_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_of([floats("w", 500)])
    onnx_file.write(model, tmp_path / "g.onnx")
    size = (tmp_path / "g.onnx").stat().st_size
    monkeypatch.setattr(onnx_file, "_PROTOBUF_LIMIT", size)
    onnx_file.write(model, tmp_path / "g.onnx")
    monkeypatch.setattr(onnx_file, "_PROTOBUF_LIMIT", size - 1)
    with pytest.raises(QuantizationError, match=f"would take {size} bytes, more than the 2 GB"):
        onnx_file.write(model, tmp_path / "refused.onnx")
    assert not (tmp_path / "refused.onnx").exists()
