"""The FP16 graph: types, and answers that stay close and finite."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto

from distilroberta.quantize.half import to_fp16

Run = Callable[[Any, dict[str, NDArray[Any]]], Any]

GRAPHS = ["standard", "served", "classifier_graph"]


@pytest.fixture(params=GRAPHS)
def single(request: pytest.FixtureRequest) -> onnx.ModelProto:
    """An FP32 graph. Read only."""
    model: onnx.ModelProto = request.getfixturevalue(request.param)
    return model


def test_inputs_and_outputs_keep_names_and_types(single: onnx.ModelProto) -> None:
    half = to_fp16(single)
    for kind in ("input", "output"):
        found, wanted = (
            [(v.name, v.type.tensor_type.elem_type) for v in getattr(model.graph, kind)]
            for model in (half, single)
        )
        assert found == wanted
    assert [value.type.tensor_type.elem_type for value in half.graph.output] == [TensorProto.FLOAT]


def test_every_weight_is_in_half_precision(single: onnx.ModelProto) -> None:
    types = {tensor.data_type for tensor in to_fp16(single).graph.initializer}
    assert TensorProto.FLOAT16 in types
    assert TensorProto.FLOAT not in types


def test_original_stays_in_single_precision(single: onnx.ModelProto) -> None:
    before = single.SerializeToString(deterministic=True)
    to_fp16(single)
    assert single.SerializeToString(deterministic=True) == before


def test_answers_are_close_and_finite_with_padding(
    single: onnx.ModelProto, feeds: dict[str, Any], run: Run
) -> None:
    assert feeds["attention_mask"].min() == 0
    found, wanted = run(to_fp16(single), feeds), run(single, feeds)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    # FP16 keeps 11 bits, and 2 layers of sums lose a few of them.
    assert np.abs(found - wanted).max() < 0.01 * np.abs(wanted).max()
    assert not np.array_equal(found, wanted)


def test_padding_is_still_hidden(
    standard: onnx.ModelProto, feeds: dict[str, Any], run: Run
) -> None:
    half = to_fp16(standard)
    short = {name: values[1:, :8] for name, values in feeds.items()}
    assert short["attention_mask"].all()
    np.testing.assert_allclose(run(half, feeds)[1, :8], run(half, short)[0], atol=0.02)
