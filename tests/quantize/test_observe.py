"""What is observed between the nodes of a graph, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from distilroberta.quantize.observe import observe

Feed = dict[str, NDArray[Any]]
Values = NDArray[np.float32]


@pytest.fixture
def model() -> onnx.ModelProto:
    """Ids to rows of a table, their doubles, and the sum of both."""
    table = np.arange(12, dtype=np.float32).reshape(6, 2)
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
        helper.make_node("Add", ["rows", "rows"], ["doubles"]),
        helper.make_node("Add", ["rows", "doubles"], ["logits"]),
    ]
    shape = ["batch", "length"]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [*shape, 2])],
        initializer=[numpy_helper.from_array(table, "table")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def feed(*ids: int) -> Feed:
    array = np.array([ids], dtype=np.int64)
    return {"input_ids": array, "attention_mask": np.ones_like(array)}


def rows(*ids: int) -> Values:
    return np.array([[[2 * index, 2 * index + 1] for index in ids]], dtype=np.float32)


def test_values_of_each_batch_by_name(model: onnx.ModelProto) -> None:
    found = list(observe(model, ["doubles", "rows"], [feed(1, 2, 3), feed(5)]))
    for values, wanted in zip(found, (rows(1, 2, 3), rows(5)), strict=True):
        assert list(values) == ["doubles", "rows"]
        assert values["rows"].dtype == np.float32
        assert np.array_equal(values["rows"], wanted)
        assert np.array_equal(values["doubles"], 2 * wanted)


def test_output_of_the_graph_is_a_name_like_others(model: onnx.ModelProto) -> None:
    (found,) = observe(model, ["logits", "rows", "logits"], [feed(4, 1)])
    assert list(found) == ["logits", "rows"]
    assert np.array_equal(found["logits"], 3 * rows(4, 1))


def test_graph_is_not_changed(model: onnx.ModelProto) -> None:
    before = model.SerializeToString(deterministic=True)
    observed = observe(model, ["rows"], [feed(1), feed(2)])
    next(observed)
    assert model.SerializeToString(deterministic=True) == before


def test_graph_is_not_changed_where_it_can_not_be_run(model: onnx.ModelProto) -> None:
    before = model.SerializeToString(deterministic=True)
    with pytest.raises(Exception, match="absent"):
        next(observe(model, ["absent"], [feed(1)]))
    assert model.SerializeToString(deterministic=True) == before


def test_batches_are_taken_one_at_a_time(model: onnx.ModelProto) -> None:
    taken = []

    def feeds() -> Iterator[Feed]:
        for index in range(3):
            taken.append(index)
            yield feed(index)

    for count, values in enumerate(observe(model, ["rows"], feeds()), start=1):
        assert taken == list(range(count))
        assert np.array_equal(values["rows"], rows(count - 1))


def test_no_batches_give_nothing(model: onnx.ModelProto) -> None:
    assert list(observe(model, ["rows"], [])) == []
