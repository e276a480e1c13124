"""Integer products give what the stored codes, scales and zero points say, row by row.

The reference multiplies 64-bit integers in numpy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import hypothesis
import numpy as np
import onnx
import pytest
from hypothesis import strategies
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from distilroberta.quantize import graph_edit, integer_products, products
from distilroberta.quantize.integer_products import PerRow, Static
from distilroberta.quantize.saturation import saturates
from distilroberta.quantize.smoothing import ChannelRange, Smoothing, smooth
from distilroberta.quantize.targets import TARGETS

Values = NDArray[np.float32]
Open = Callable[[onnx.ModelProto], Any]
Form = Static | PerRow

ROWS, COLUMNS = 48, products.FEWEST_COLUMNS
LOWEST = 0.2

# A weight must not saturate where it is run. Those of `avx512_vnni` are not bounded against it, so
# that target gets one in which no pair of neighbours is large.
TARGET_NAMES = ["portable", "avx2", "avx512_vnni"]


def weight_for(target: str) -> Values:
    weight = np.random.default_rng(0).normal(size=(ROWS, COLUMNS)).astype(np.float32)
    weight[:, 3] = 0
    if target == "avx512_vnni":
        weight[1::2] *= 0.001
    return weight


def bias() -> Values:
    return np.random.default_rng(1).normal(size=COLUMNS).astype(np.float32)


def one_sided(shape: tuple[int, ...], seed: int = 0) -> Values:
    """What an activation gives: nothing below -LOWEST, and most of it above zero."""
    values = np.random.default_rng(seed).normal(size=shape) * 3
    return np.where(values < 0, -LOWEST * np.exp(values), values).astype(np.float32)


def shifted(shape: tuple[int, ...], seed: int = 0) -> Values:
    """What a layer norm gives: channels of other sizes, some far from zero."""
    random = np.random.default_rng(seed)
    sizes, middles = np.geomspace(0.1, 9, shape[-1]), np.linspace(-4, 4, shape[-1])
    return (random.normal(size=shape) * sizes + middles).astype(np.float32)


def form_of(kind: str, weight: Values) -> Form:
    if kind == "static":
        seen = ChannelRange.nothing()
        seen.add(shifted((200, ROWS), seed=5))
        return Static(smooth(seen, np.abs(weight).max(axis=1), 100.0))
    return PerRow(lowest=LOWEST if kind == "one-sided" else None)


def values_for(kind: str, shape: tuple[int, ...], seed: int = 0) -> Values:
    return one_sided(shape, seed) if kind == "one-sided" else shifted(shape, seed)


KINDS = ["static", "two-sided", "one-sided"]


def fp32(dimensions: int = 3, *, readers: int = 1) -> onnx.ModelProto:
    """A graph `x @ w0 + b0 = y0`, and as many more of the same x as are asked for."""
    nodes, tensors = [], []
    for index in range(readers):
        names = [f"{letter}{index}" for letter in "wbpy"]
        nodes.append(helper.make_node("MatMul", ["x", names[0]], [names[2]], name=names[2]))
        nodes.append(helper.make_node("Add", [names[2], names[1]], [names[3]]))
        tensors.append(numpy_helper.from_array(weight_for("portable"), names[0]))
        tensors.append(numpy_helper.from_array(bias(), names[1]))
    free = ["batch", "length"][: dimensions - 1]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [*free, ROWS])],
        [
            helper.make_tensor_value_info(f"y{index}", TensorProto.FLOAT, [*free, COLUMNS])
            for index in range(readers)
        ],
        initializer=tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def quantized(
    kind: str, target: str = "portable", *, kept: int = 0, **shape: Any
) -> onnx.ModelProto:
    """The graph with all products but the last `kept` of one form."""
    model = fp32(**shape)
    weight = weight_for(target)
    for tensor in model.graph.initializer:
        if tensor.name.startswith("w"):
            tensor.CopyFrom(numpy_helper.from_array(weight, tensor.name))
    found = {one.weight: one for one in products.find(model.graph)}
    names = list(found)[: len(found) - kept]
    form = form_of(kind, weight)
    return rewritten(model, dict.fromkeys(names, form), target)


def rewritten(model: onnx.ModelProto, forms: dict[str, Form], target: str) -> onnx.ModelProto:
    found = {one.weight: one for one in products.find(model.graph)}
    integer_products.rewrite(model, found, forms, TARGETS[target])
    graph_edit.drop_unused_weights(model.graph)
    graph_edit.uses_contrib_operators(model)
    return model


def stored(model: onnx.ModelProto) -> dict[str, NDArray[Any]]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def product_inputs(model: onnx.ModelProto) -> list[NDArray[Any] | None]:
    """The constants of the first product, in the order of the operator's inputs."""
    held = stored(model)
    node = next(node for node in model.graph.node if node.op_type == "MatMulIntegerToFloat")
    return [held.get(name) for name in node.input]


def codes_of(kind: str, model: onnx.ModelProto, x: Values) -> tuple[NDArray[np.int64], Values]:
    """Quantize as the graph should: codes without their zero point, and a scale for each row."""
    if kind == "static":
        held = stored(model)
        scaled, zero, low = (x - held["w0_shift"]) * held["w0_factor"], 128, -128
        scale = np.ones((*x.shape[:-1], 1), np.float32)
    elif kind == "two-sided":
        scale = np.abs(x).max(axis=-1, keepdims=True) * np.float32(1 / 127)
        zero, low = 128, -128
    else:
        largest = x.max(axis=-1, keepdims=True) * np.float32(1 / 239)
        scale, zero, low = np.maximum(largest, np.float32(LOWEST / 16)), 16, -16
    if kind != "static":
        scaled = np.divide(x, scale, out=np.zeros_like(x), where=scale > 0)
    return np.clip(np.rint(scaled), low, 255 - zero).astype(np.int64), scale


def exact(kind: str, model: onnx.ModelProto, x: Values) -> tuple[NDArray[Any], NDArray[Any]]:
    """The product of the integers in FP64, and how large its parts are."""
    _, weight, a_scale, weight_scale, zero, weight_zero, stored_bias = product_inputs(model)
    assert a_scale == 1
    assert zero == (16 if kind == "one-sided" else 128)
    assert weight is not None
    signed = weight.astype(np.int64) - (0 if weight_zero is None else int(weight_zero))
    codes, scale = codes_of(kind, model, x)
    product = (codes @ signed) * weight_scale.astype(np.float64) * scale.astype(np.float64)
    added = stored(model)["b0"] if stored_bias is None else stored_bias
    return product + added, np.abs(product) + np.abs(added)


def check(kind: str, model: onnx.ModelProto, session: Any, x: Values) -> Values:
    found = session.run(["y0"], {"x": x})[0]
    wanted, size = exact(kind, model, x)
    assert found.dtype == np.float32
    assert found.shape == wanted.shape
    assert (np.abs(found - wanted) <= 1e-6 * size).all()
    return found


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("target", TARGET_NAMES)
@pytest.mark.parametrize("kind", KINDS)
def test_product_is_that_of_the_stored_integers(
    open_graph: Open, kind: str, target: str, dimensions: int
) -> None:
    model = quantized(kind, target, dimensions=dimensions)
    onnx.checker.check_model(model)
    session = open_graph(model)
    for rows in (1, 2, 7):
        shape = (3, rows, ROWS) if dimensions == 3 else (rows, ROWS)
        x = values_for(kind, shape, rows)
        found = check(kind, model, session, x)
        # And that is nearly the product in FP32, for rows as large as these.
        wanted = x @ weight_for(target) + bias()
        assert np.abs(found - wanted).max() < 0.04 * np.abs(wanted).max()


@pytest.mark.parametrize("kind", KINDS)
def test_codes_between_the_nodes_are_the_nearest(open_graph: Open, kind: str) -> None:
    model = quantized(kind)
    model.graph.output.append(onnx.ValueInfoProto(name="x_codes"))
    x = values_for(kind, (5, 9, ROWS), seed=3)
    found = open_graph(model).run(["x_codes"], {"x": x})[0]
    assert found.dtype == np.uint8
    zero = 16 if kind == "one-sided" else 128
    assert np.array_equal(found.astype(np.int64) - zero, codes_of(kind, model, x)[0])


@pytest.mark.parametrize(
    ("target", "dtype", "zero"),
    [
        ("portable", np.int8, None),
        ("avx2", np.uint8, 128),
        ("avx512", np.int8, None),
        ("avx512_vnni", np.int8, None),
        ("arm64", np.int8, None),
    ],
)
def test_weights_are_of_the_kind_that_the_target_asks_for(
    target: str, dtype: type[np.generic], zero: int | None
) -> None:
    weight = weight_for("portable")
    model = quantized("two-sided", target)
    _, codes, _, scales, _, weight_zero, _ = product_inputs(model)
    assert codes is not None
    assert codes.dtype == dtype
    assert codes.shape == (ROWS, COLUMNS)
    assert scales is not None
    assert scales.shape == (COLUMNS,)
    assert (None if weight_zero is None else int(weight_zero)) == zero
    signed = codes.astype(np.int64) - (zero or 0)
    given = weight if target != "avx512_vnni" else weight_for(target)
    assert (np.abs(signed * scales.astype(np.float64) - given) <= scales * 1.001).all()
    if target in ("portable", "avx512"):
        assert not saturates(codes.astype(np.int8)).any()
    if target == "arm64":
        assert saturates(codes.astype(np.int8)).any()


@pytest.fixture(scope="module", params=["two-sided", "one-sided"])
def per_row(request: pytest.FixtureRequest, open_graph: Open) -> tuple[str, onnx.ModelProto, Any]:
    """A graph with a scale for each row, of two dimensions."""
    model = quantized(request.param, dimensions=2)
    return request.param, model, open_graph(model)


@hypothesis.settings(max_examples=100, deadline=None, derandomize=True)
@hypothesis.given(
    x=arrays.arrays(
        np.float32,
        strategies.tuples(strategies.integers(0, 4), strategies.just(ROWS)),
        elements=strategies.sampled_from([0.0, 1e-20, -1e-20, 1e20, -1e20, -LOWEST, 2 * -LOWEST])
        | strategies.floats(-1e3, 1e3, width=32, allow_subnormal=False),
        fill=strategies.sampled_from([0.0, 1.0, -0.1]),
    )
)
def test_any_row_is_the_product_of_its_integers(
    per_row: tuple[str, onnx.ModelProto, Any], x: Values
) -> None:
    check(*per_row, x)


@pytest.mark.parametrize("kind", ["two-sided", "one-sided"])
def test_row_of_zeros_gives_the_bias_and_nothing_else(open_graph: Open, kind: str) -> None:
    """In two-sided form its scale is zero, and its codes are 0 / 0."""
    x = values_for(kind, (2, 3, ROWS))
    x[1, 1] = 0
    found = open_graph(quantized(kind)).run(None, {"x": x})[0]
    assert np.isfinite(found).all()
    assert np.array_equal(found[1, 1], bias())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(0, ROWS), (2, 0, ROWS), (0, 3, ROWS)])
def test_no_rows_give_no_rows(open_graph: Open, kind: str, shape: tuple[int, ...]) -> None:
    model = quantized(kind, dimensions=len(shape))
    found = open_graph(model).run(None, {"x": np.zeros(shape, np.float32)})[0]
    assert found.shape == (*shape[:-1], COLUMNS)


@pytest.mark.parametrize("kind", KINDS)
def test_row_does_not_depend_on_the_others(open_graph: Open, kind: str) -> None:
    session = open_graph(quantized(kind))
    x = values_for(kind, (4, 5, ROWS))
    x[2] *= 50
    together = session.run(None, {"x": x})[0]
    for row in range(4):
        for place in range(5):
            alone = session.run(None, {"x": x[row : row + 1, place : place + 1]})[0]
            np.testing.assert_allclose(alone[0, 0], together[row, place], rtol=1e-6, atol=1e-6)


def test_value_below_the_lowest_is_clipped(open_graph: Open) -> None:
    """16 codes are below the zero point of one-sided values, and the scale is the row's."""
    model = quantized("one-sided", dimensions=2)
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in ("x_codes", "x_scale"))
    x = one_sided((2, ROWS))
    x[:, 0] = -LOWEST
    x[0, 1:], x[1, 1] = np.minimum(x[0, 1:], LOWEST), 239
    codes, scale = open_graph(model).run(["x_codes", "x_scale"], {"x": x})
    np.testing.assert_allclose(scale[:, 0], [LOWEST / 16, 1], rtol=1e-6)
    assert codes[0, 0] == 0  # what may be expected has a code
    x[0, 0] = -3 * LOWEST
    codes, _ = open_graph(model).run(["x_codes", "x_scale"], {"x": x})
    assert codes[0, 0] == 0
    assert codes[1, 1] == 255


def kinds(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


@pytest.mark.parametrize("kind", KINDS)
def test_value_that_several_products_read_is_quantized_once(open_graph: Open, kind: str) -> None:
    model = quantized(kind, readers=3)
    assert kinds(model)["QuantizeLinear"] == 1
    assert kinds(model)["MatMulIntegerToFloat"] == 3
    x = values_for(kind, (2, 3, ROWS))
    first, *others = open_graph(model).run(None, {"x": x})
    check(kind, model, open_graph(model), x)
    for other in others:
        assert np.array_equal(other, first)


@pytest.mark.parametrize("kind", KINDS)
def test_product_that_is_not_named_stays(open_graph: Open, kind: str) -> None:
    model = quantized(kind, readers=2, kept=1)
    assert kinds(model)["MatMulIntegerToFloat"] == kinds(model)["MatMul"] == 1
    assert np.array_equal(stored(model)["w1"], weight_for("portable"))
    assert "w0" not in stored(model)
    x = values_for(kind, (2, 3, ROWS))
    found = open_graph(model).run(["y1"], {"x": x})[0]
    np.testing.assert_allclose(found, x @ weight_for("portable") + bias(), rtol=1e-4, atol=1e-4)


def test_bias_of_a_static_product_makes_up_for_the_shift() -> None:
    model = quantized("static")
    held = stored(model)
    wanted = bias() + held["w0_shift"].astype(np.float64) @ weight_for("portable")
    np.testing.assert_allclose(held["w0_bias"], wanted, rtol=1e-5)
    assert "Add" not in kinds(model)
    assert "b0" not in held


def test_values_that_come_smoothed_are_quantized_as_they_are(open_graph: Open) -> None:
    plain = quantized("static")
    form = replace(form_of("static", weight_for("portable")), smoothed=True)
    model = rewritten(fp32(), {"w0": form}, "portable")
    assert not {"Sub", "Mul"} & set(kinds(model))
    x = shifted((2, 3, ROWS))
    smooth = (x - form.smoothing.shift) / form.smoothing.divisor
    found = open_graph(model).run(None, {"x": smooth})[0]
    wanted = open_graph(plain).run(None, {"x": x})[0]
    # A value may lie between two codes and be rounded to the other one.
    assert np.abs(found - wanted).mean() < 1e-3 * np.abs(wanted).mean()


def test_product_can_give_smoothed_values(open_graph: Open) -> None:
    random = np.random.default_rng(3)
    gives = Smoothing(
        random.normal(size=COLUMNS).astype(np.float32),
        random.uniform(0.1, 5, size=COLUMNS).astype(np.float32),
    )
    form = replace(form_of("static", weight_for("portable")), gives=gives)
    x = shifted((2, 3, ROWS))
    found = open_graph(rewritten(fp32(), {"w0": form}, "portable")).run(None, {"x": x})[0]
    plain = open_graph(quantized("static")).run(None, {"x": x})[0]
    # Another scale for a column rounds its weights alike, but for a few.
    np.testing.assert_allclose(found, (plain - gives.shift) / gives.divisor, rtol=1e-3, atol=1e-3)


def test_layers_of_every_token_share_their_zero_points() -> None:
    """They have as many rows; those of the last layer may be for some tokens alone."""
    names = [
        f"encoder.{part}.weight" for part in ("layer.0", "layer.1", "layer.2", "last.a", "last.b")
    ]
    nodes = [
        helper.make_node("MatMul", [f"x{index}", name], [f"y{index}"])
        for index, name in enumerate(names)
    ]
    tensors = [numpy_helper.from_array(weight_for("portable"), name) for name in names]
    graph = helper.make_graph(nodes, "g", [], [], initializer=tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    graph = model.graph
    found = {one.weight: one for one in products.find(graph)}
    lowest = [None, None, LOWEST, None, None]
    forms = {name: PerRow(low) for name, low in zip(names, lowest, strict=True)}
    integer_products.rewrite(model, found, forms, TARGETS["portable"])
    zeros = [node.input[2] for node in graph.node if node.op_type == "QuantizeLinear"]
    assert zeros[0] == zeros[1]
    assert zeros[3] == zeros[4]
    assert len(set(zeros)) == 3
    assert model.opset_import[0].version == 21, "the first with blocks in QuantizeLinear"


def test_names_of_the_outputs_stay() -> None:
    for kind in KINDS:
        given = {name for node in quantized(kind).graph.node for name in node.output}
        assert "y0" in given
