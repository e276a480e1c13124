"""Which values half precision can't hold, on graphs made to need FP32 and on those that do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from distilroberta.quantize.errors import QuantizationError
from distilroberta.quantize.half_loss import LARGEST, LARGEST_LOSS, too_coarse_in_half
from distilroberta.quantize.half_trials import Trial, Trials
from distilroberta.quantize.origin import origins

Array = NDArray[Any]

WIDTH = 16
RNG = np.random.default_rng(0)
FEEDS: list[dict[str, Array]] = [
    {"x": RNG.normal(size=(rows, WIDTH)).astype(np.float32)} for rows in (1, 3, 8)
]
SQUARE = (RNG.normal(size=(WIDTH, WIDTH)) / 4).astype(np.float32)
ONES, ZEROS = np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)


def named(kind: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, inputs.split(), [output], name=output, **attributes)


# A feed-forward block: what comes before a layer norm, and the norm.
BLOCK = [
    named("MatMul", "x weight", "product"),
    named("Add", "product bias", "biased"),
    named("Add", "biased x", "sum"),
    named("LayerNormalization", "sum gain shift", "norm"),
    named("MatMul", "norm weight2", "y"),
]


def found_in(nodes: list[onnx.NodeProto], feeds: list[dict[str, Array]], **weights: Array) -> Any:
    """Return the names of the values of a graph that are to stay in FP32."""
    model = model_of(nodes, **weights)
    exact = too_coarse_in_half(model, feeds)
    return {name for name, origin in origins(model.graph).items() if origin in exact}


def model_of(nodes: list[onnx.NodeProto], **weights: Array) -> onnx.ModelProto:
    known = {"weight": SQUARE, "weight2": SQUARE, "gain": ONES, "shift": ZEROS, "bias": ZEROS}
    read = {name for node in nodes for name in node.input}
    given = {name: array for name, array in (known | weights).items() if name in read}
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", WIDTH])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in given.items()],
    )
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def test_nothing_is_kept_where_nothing_is_lost() -> None:
    assert found_in(BLOCK, FEEDS) == set()


def test_values_that_overflow() -> None:
    found = found_in(BLOCK, FEEDS, weight=SQUARE * np.float32(1e5))
    assert found == {"product", "biased", "sum", "weight"}


def test_values_that_come_near_the_largest_half() -> None:
    nodes = [named("Mul", "x scale", "scaled"), named("LayerNormalization", "scaled gain", "y")]
    largest = max(np.abs(feed["x"]).max() for feed in FEEDS)
    for share, expected in ((1.01, {"scaled"}), (0.99, set())):
        scale = np.array(LARGEST / largest * share, np.float32)
        assert found_in(nodes, FEEDS, scale=scale) == expected


def test_weights_that_vanish() -> None:
    nodes = [
        named("MatMul", "x weight", "product"),
        named("LayerNormalization", "product gain shift", "y", epsilon=1e-20),
    ]
    found = found_in(nodes, FEEDS, weight=SQUARE * np.float32(1e-8))
    assert found == {"weight", "product"}


def test_values_that_nearly_cancel_out_and_all_that_they_come_from() -> None:
    """A bias of thousands on every channel: the layer norm takes it away again."""
    bias = (5000 + RNG.normal(size=WIDTH)).astype(np.float32)
    found = found_in(BLOCK, FEEDS, bias=bias)
    assert found == {"bias", "biased", "sum"}


def test_one_row_in_one_batch_is_enough() -> None:
    outlier = [*FEEDS, {"x": np.full((2, WIDTH), 1e5, np.float32)}]
    outlier[-1]["x"][0] = 1
    assert "product" in found_in(BLOCK, outlier)


def test_value_that_is_no_better_known_is_not_kept() -> None:
    """Scores of thousands: in FP32 they would still be the product of rounded values."""
    nodes = [
        named("MatMul", "x weight", "product"),
        named("Add", "product gain", "query"),
        named("MatMul", "x weight2", "product2"),
        named("Add", "product2 gain", "key"),
        named("Transpose", "key", "turned", perm=[1, 0]),
        named("MatMul", "query turned", "products"),
        named("Mul", "products half", "scores"),
        named("Softmax", "scores", "y"),
    ]
    half = np.array(0.5, np.float32)
    large = [{"x": (RNG.normal(size=(200, WIDTH)) * 15).astype(np.float32)}]
    trials = Trials(model_of(nodes, half=half))
    scores = frozenset(trials.origins[name] for name in ("scores", "products"))
    rounded, kept = Trial("y"), Trial("y", scores)
    sizes, losses = trials.measure(["products"], [rounded, kept], large)
    assert 2000 < sizes["products"] < LARGEST
    assert min(losses[rounded], losses[kept]) > LARGEST_LOSS
    assert found_in(nodes, large, half=half) == set()


def test_longest_batch_is_tried_wherever_it_is() -> None:
    """A file may end with its longest texts, and most of its batches are not tried."""
    longest = {"x": np.full((9, WIDTH), 1e5, np.float32)}
    longest["x"][0] = 1
    assert "product" in found_in(BLOCK, [*FEEDS * 30, longest])
    assert "product" in found_in(BLOCK, [longest, *FEEDS * 30])


def test_no_text_at_all_is_refused() -> None:
    with pytest.raises(QuantizationError, match="fp16 needs a text"):
        found_in(BLOCK, [])


def test_bound_is_above_what_a_rounding_loses() -> None:
    assert 10 * float(np.finfo(np.float16).eps) < LARGEST_LOSS
    assert float(np.finfo(np.float16).max) > LARGEST
