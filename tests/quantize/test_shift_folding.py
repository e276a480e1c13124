"""A shift after a layer norm goes into biases, and every answer stays what it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from distilroberta.quantize import graph_edit, int8, recipe, shift_folding
from distilroberta.quantize.onnx_file import SHARED_FROM_BYTES
from distilroberta.quantize.options import Options

Open = Callable[[onnx.ModelProto], Any]
Nodes = list[onnx.NodeProto]

CHANNELS = 8
EXPORTS = ["wide_fill_mask", "wide_classifier", "wide_tagger", "wide_answerer"]


def node(kind: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    """A node; `-` is an input that is not given."""
    names = ["" if name == "-" else name for name in inputs.split()]
    return helper.make_node(kind, names, [output], name=output, **attributes)


NORM = node("LayerNormalization", "x gamma beta", "normed", axis=-1)
SHIFT = node("Sub", "normed shift", "shifted")
SMOOTH = node("Mul", "shifted factor", "smooth")
SMOOTHED = [NORM, SHIFT, SMOOTH]


def within(inputs: str) -> Nodes:
    """A product of integers, which adds its bias itself."""
    product = node("MatMulIntegerToFloat", inputs, "biased", domain=graph_edit.CONTRIB)
    return [node("QuantizeLinear", "x one zero", "codes"), product]


# The product beside the residual, with its bias: one node, or two.
ADDED = [node("MatMul", "x weight", "product"), node("Add", "product bias", "biased")]
ADDED_BEFORE = [ADDED[0], node("Add", "bias product", "biased")]
WITHIN = within("codes codes_of_weight one scales zero - bias")
PRODUCTS = pytest.mark.parametrize(
    "product", [ADDED, ADDED_BEFORE, WITHIN], ids=["added", "added before", "within"]
)
RESIDUAL = node("Add", "biased normed", "y")


def model_of(nodes: Nodes, outputs: str) -> onnx.ModelProto:
    """A graph that reads x, float32 (2, 5, CHANNELS); its weights are the ones named here."""
    random = np.random.default_rng(0)
    weights: dict[str, NDArray[Any]] = {
        name: random.normal(size=CHANNELS).astype(np.float32)
        for name in ("gamma", "beta", "shift", "other_shift", "factor", "bias")
    }
    weights |= {
        "weight": random.normal(size=(CHANNELS, CHANNELS)).astype(np.float32),
        "codes_of_weight": random.integers(-64, 64, (CHANNELS, CHANNELS)).astype(np.int8),
        "scales": np.full(CHANNELS, 0.01, np.float32),
        "one": np.array(1, np.float32),
        "zero": np.array(128, np.uint8),
        "rows": np.array([0, 3]),
        "first": np.array([0]),
        "second": np.array([2]),
        "axis": np.array([1]),
        "flat": np.array([-1, CHANNELS]),
    }
    graph = helper.make_graph(
        [*nodes],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 5, CHANNELS])],
        [onnx.ValueInfoProto(name=name) for name in outputs.split()],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    graph_edit.drop_unused_weights(graph)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(graph_edit.CONTRIB, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def folded(model: onnx.ModelProto) -> onnx.ModelProto:
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    shift_folding.fold(copied.graph)
    return copied


def kinds(model: onnx.ModelProto) -> list[str]:
    return [one.op_type for one in model.graph.node]


def stays_the_same(model: onnx.ModelProto) -> bool:
    return bool(folded(model) == model)


@pytest.fixture
def check(open_graph: Open) -> Callable[[onnx.ModelProto], onnx.ModelProto]:
    """Fold, and compare every output with what it was; return the folded graph."""

    def check_(model: onnx.ModelProto) -> onnx.ModelProto:
        after = folded(model)
        names = [one.name for one in after.graph.initializer]
        assert len(set(names)) == len(names)
        x = {"x": 3 * np.random.default_rng(1).normal(size=(2, 5, CHANNELS)).astype(np.float32)}
        wanted, found = (open_graph(one).run(None, x) for one in (model, after))
        for one, other in zip(found, wanted, strict=True):
            assert np.abs(other).max() > 0.1
            np.testing.assert_allclose(one, other, atol=1e-5)
        return after

    return check_


Check = Callable[[onnx.ModelProto], onnx.ModelProto]


@pytest.mark.parametrize("order", ["biased normed", "normed biased"])
@PRODUCTS
def test_shift_goes_into_the_bias_before_and_out_of_the_bias_beside(
    check: Check, product: Nodes, order: str
) -> None:
    model = model_of([*SMOOTHED, *product, node("Add", order, "y")], "smooth y")
    after = check(model)
    assert [kind for kind in kinds(model) if kind != "Sub"] == kinds(after)
    held = {one.name: numpy_helper.to_array(one) for one in after.graph.initializer}
    norm = after.graph.node[0]
    np.testing.assert_allclose(held[norm.input[2]], held["beta"] - held["shift"], rtol=1e-6)


def test_shift_of_a_layer_norm_without_a_residual_is_folded(check: Check) -> None:
    assert "Sub" not in kinds(check(model_of(SMOOTHED, "smooth")))


@PRODUCTS
def test_bias_that_another_node_reads_is_not_changed_for_it(check: Check, product: Nodes) -> None:
    """Equal weights are stored once, so two layer norms may read one bias."""
    others = [
        node("LayerNormalization", "x gamma beta", "other_normed", axis=-1),
        node("Add", "x bias", "other_biased"),
    ]
    nodes = [*SMOOTHED, *product, RESIDUAL, *others]
    after = check(model_of(nodes, "smooth y other_normed other_biased"))
    assert "Sub" not in kinds(after)


def test_shift_that_two_layer_norms_share_goes_into_each(check: Check) -> None:
    second = [
        node("LayerNormalization", "y gamma beta", "next", axis=-1),
        node("Sub", "next shift", "next_shifted"),
        node("Mul", "next_shifted factor", "next_smooth"),
        node("MatMul", "next_smooth weight", "next_product"),
        node("Add", "next_product bias", "next_biased"),
        node("Add", "next_biased next", "z"),
    ]
    nodes = [*SMOOTHED, *WITHIN, RESIDUAL, *second]
    assert "Sub" not in kinds(check(model_of(nodes, "smooth next_smooth z")))


def test_its_shape_may_be_read(check: Check) -> None:
    nodes = [*SMOOTHED, node("Shape", "normed", "shape"), node("Reshape", "smooth shape", "y")]
    assert "Sub" not in kinds(check(model_of(nodes, "y")))


@pytest.mark.parametrize(
    ("others", "outputs"),
    [
        ([node("MatMul", "normed weight", "y")], "smooth y"),
        ([], "smooth normed"),
        ([node("Gather", "normed rows", "y", axis=1)], "smooth y"),
        ([*ADDED, node("Mul", "biased normed", "y")], "smooth y"),
        ([node("Add", "normed normed", "y")], "smooth y"),
        ([node("Add", "x normed", "y")], "smooth y"),
        ([ADDED[0], node("Add", "product normed", "y")], "smooth y"),
        ([ADDED[0], node("Add", "product x", "biased"), RESIDUAL], "smooth y"),
        ([*within("codes codes_of_weight one scales zero"), RESIDUAL], "smooth y"),
        ([*within("codes codes_of_weight one scales zero - -"), RESIDUAL], "smooth y"),
        ([*ADDED, RESIDUAL], "smooth y biased"),
        ([*ADDED, RESIDUAL, node("Neg", "biased", "z")], "smooth y z"),
        ([node("Sub", "normed x", "y")], "smooth y"),
        ([node("Sub", "beta normed", "y")], "smooth y"),
    ],
    ids=[
        "a product",
        "output of the graph",
        "rows of it are an output",
        "multiplied with a product",
        "added to itself",
        "added to an input",
        "no bias beside",
        "no constant beside",
        "no bias within the product",
        "an empty one within the product",
        "the product is an output",
        "the product is read again",
        "something else is taken off",
        "taken off something",
    ],
)
def test_layer_norm_that_something_else_reads_keeps_its_values(
    check: Check, others: Nodes, outputs: str
) -> None:
    model = model_of([*SMOOTHED, *others], outputs)
    check(model)
    assert stays_the_same(model)


def test_layer_norm_without_a_shift_stays() -> None:
    assert stays_the_same(model_of([NORM, *ADDED, RESIDUAL], "y"))


SELECTIONS = [
    [node("Gather", "normed rows", "some", axis=1)],
    [node("Slice", "normed first second axis", "some")],
    [node("Reshape", "normed flat", "all"), node("Gather", "all rows", "some", axis=0)],
]
EACH_SELECTION = pytest.mark.parametrize("select", SELECTIONS, ids=["Gather", "Slice", "flat"])


def of_some(shift: str) -> Nodes:
    return [
        node("Sub", f"some {shift}", "some_shifted"),
        node("Mul", "some_shifted factor", "some_smooth"),
    ]


@EACH_SELECTION
def test_rows_with_the_same_shift_have_none_left(check: Check, select: Nodes) -> None:
    after = check(model_of([*SMOOTHED, *select, *of_some("shift")], "smooth some_smooth"))
    assert "Sub" not in kinds(after)


@EACH_SELECTION
def test_rows_with_another_shift_have_the_difference_left(check: Check, select: Nodes) -> None:
    nodes = [NORM, *select, *of_some("other_shift"), SHIFT, SMOOTH]
    after = check(model_of(nodes, "smooth some_smooth"))
    (left,) = (one for one in after.graph.node if one.op_type == "Sub")
    assert left.output[0] == "some_shifted"
    held = {one.name: numpy_helper.to_array(one) for one in after.graph.initializer}
    np.testing.assert_allclose(held[left.input[1]], held["other_shift"] - held["shift"], rtol=1e-6)


@EACH_SELECTION
def test_residual_of_some_rows_has_its_bias_beside(check: Check, select: Nodes) -> None:
    beside = [
        node("MatMul", "some_smooth weight", "product"),
        node("Add", "product bias", "biased"),
        node("Add", "biased some", "y"),
    ]
    nodes = [*SMOOTHED, *select, *of_some("other_shift"), *beside]
    assert kinds(check(model_of(nodes, "smooth y"))).count("Sub") == 1


def test_shift_of_some_rows_alone_stays() -> None:
    """The layer norm's other rows are read without it."""
    nodes = [NORM, *SELECTIONS[0], *of_some("shift"), *ADDED, RESIDUAL]
    assert stays_the_same(model_of(nodes, "some_smooth y"))


@pytest.mark.parametrize("name", EXPORTS)
def test_int8_graphs_shift_only_some_rows_of_the_last_layer(
    name: str, int8_graphs: Callable[[Any], Any], request: pytest.FixtureRequest
) -> None:
    exported = request.getfixturevalue(name)
    graphs = int8_graphs(exported)
    for model in filter(None, (graphs.standard, graphs.served)):
        weights = {one.name for one in model.graph.initializer}
        makers = {output: one for one in model.graph.node for output in one.output}
        shifted = [
            makers[one.input[0]]
            for one in model.graph.node
            if one.op_type == "Sub" and one.input[1] in weights
        ]
        # What makes a class is read from one row, so that its query has a range of its own.
        assert [one.op_type for one in shifted] == ["Slice"] * (name == "wide_classifier")
        assert all(makers[one.input[0]].op_type == "LayerNormalization" for one in shifted)


def test_both_int8_graphs_hold_the_same_weights(
    make_checkpoint: Callable[..., Any],
    export: Callable[[Any], Any],
    int8_graphs: Callable[[Any], Any],
) -> None:
    """Of a shape in which the biases too are large enough to be stored once."""
    shape = {"hidden_size": 256, "intermediate_size": 256, "num_hidden_layers": 2}
    graphs = int8_graphs(export(make_checkpoint("fill-mask", **shape)))
    standard, served = (
        sorted(
            one.raw_data
            for one in model.graph.initializer
            if len(one.raw_data) >= SHARED_FROM_BYTES
        )
        for model in (graphs.standard, graphs.served)
    )
    assert len(served) > 20
    assert set(served) <= set(standard)


@pytest.mark.parametrize("name", EXPORTS)
def test_int8_answers_are_those_without_folding(
    name: str,
    calibration: Callable[..., Any],
    feeds: dict[str, NDArray[Any]],
    open_graph: Open,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """But where a sum of another rounding takes the next code, which quantizing may do."""
    exported = request.getfixturevalue(name)
    graphs = [one for one in (exported.graphs.standard, exported.graphs.served) if one is not None]
    prepared = int8.prepare(graphs[0], calibration(exported, 6), Options())
    after = [recipe.apply(prepared, one, "one") for one in graphs]
    monkeypatch.setattr(shift_folding, "fold", lambda graph: None)
    before = [recipe.apply(prepared, one, "one") for one in graphs]
    for models in zip(after, before, graphs, strict=True):
        found, wanted, exact = (
            np.concatenate([one.ravel() for one in open_graph(model).run(None, feeds)])
            for model in models
        )
        assert np.abs(found - wanted).mean() < 0.1 * np.abs(wanted - exact).mean()
