"""The FP16 graph: types, what stays in FP32, and answers that stay close and finite.

On a CPU, onnxruntime computes FP16 in FP32 and leaves out most of the roundings. So answers are
also those of the graph in which every value of half precision is rounded, as a GPU stores it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.transformers.float16 import convert_float_to_float16
from transformers import RobertaConfig, RobertaForMaskedLM

from distilroberta.quantize import recipe
from distilroberta.quantize.errors import QuantizationError
from distilroberta.quantize.half import RECIPE
from distilroberta.quantize.options import Options
from distilroberta.quantize.recipe import NOTHING, Prepared

Feeds = dict[str, NDArray[Any]]
Run = Callable[[Any, Feeds], Any]
Prepare = Callable[[onnx.ModelProto], Prepared]
InHalf = Callable[[onnx.ModelProto], onnx.ModelProto]
# An exported checkpoint, see conftest.
Exported = Any
# A graph given to a test by the name of its fixture.
GRAPHS = ["standard", "served", "classifier_graph"]

FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16


@pytest.fixture(params=GRAPHS)
def single(request: pytest.FixtureRequest) -> onnx.ModelProto:
    """An FP32 graph. Read only."""
    model: onnx.ModelProto = request.getfixturevalue(request.param)
    return model


@pytest.fixture(scope="session")
def prepare(feeds: Feeds) -> Prepare:
    """Make the recipe ready for a fixture's graph, once in a session."""
    made: dict[int, Prepared] = {}

    def prepare_(model: onnx.ModelProto) -> Prepared:
        if id(model) not in made:
            made[id(model)] = RECIPE.prepare(model, [feeds], Options())
        return made[id(model)]

    return prepare_


@pytest.fixture(scope="session")
def in_half(prepare: Prepare) -> InHalf:
    """Make the FP16 graph of a fixture's graph."""
    return lambda model: recipe.apply(prepare(model), model, "one")


def as_stored(model: onnx.ModelProto) -> onnx.ModelProto:
    """Make an FP32 graph that rounds each value an FP16 graph holds in half precision."""
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    values = (*inferred.value_info, *inferred.output)
    halves = {v.name for v in values if v.type.tensor_type.elem_type == HALF}
    stored = onnx.ModelProto()
    stored.CopyFrom(model)
    graph = stored.graph
    for tensor in graph.initializer:
        if tensor.data_type == HALF:
            tensor.CopyFrom(single_of(tensor))
    nodes = []
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR and attribute.t.data_type == HALF:
                attribute.t.CopyFrom(single_of(attribute.t))
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == HALF:
                attribute.i = FLOAT
        casts = []
        for index, name in enumerate(node.output):
            if name in halves:
                node.output[index] = f"{name}|exact"
                casts += [
                    helper.make_node("Cast", [f"{name}|exact"], [f"{name}|half"], to=HALF),
                    helper.make_node("Cast", [f"{name}|half"], [name], to=FLOAT),
                ]
        nodes += [onnx.NodeProto.FromString(node.SerializeToString()), *casts]
    del graph.node[:], graph.value_info[:]
    graph.node.extend(nodes)
    return stored


def single_of(tensor: onnx.TensorProto) -> onnx.TensorProto:
    return numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name)


def lost(found: Any, wanted: Any) -> float:
    """Return the largest error of a row of logits, relative to the row's length."""
    error = np.linalg.norm(found - wanted, axis=-1) / np.linalg.norm(wanted, axis=-1)
    return float(error.max())


def types_of(model: onnx.ModelProto) -> dict[str, int]:
    return {tensor.name: tensor.data_type for tensor in model.graph.initializer}


def test_inputs_and_outputs_keep_names_and_types(single: onnx.ModelProto, in_half: InHalf) -> None:
    half = in_half(single)
    for kind in ("input", "output"):
        found, wanted = (
            [(v.name, v.type.tensor_type.elem_type) for v in getattr(model.graph, kind)]
            for model in (half, single)
        )
        assert found == wanted
    assert [value.type.tensor_type.elem_type for value in half.graph.output] == [FLOAT]


def test_all_of_it_is_in_half_precision_where_nothing_is_lost(
    single: onnx.ModelProto, prepare: Prepare
) -> None:
    made = prepare(single)
    assert made.scheme == "FP16 weights and arithmetic, FP32 outputs"
    types = set(types_of(recipe.apply(made, single, "one")).values())
    assert HALF in types
    assert FLOAT not in types


def test_graph_is_valid_and_sorted(single: onnx.ModelProto, in_half: InHalf) -> None:
    onnx.checker.check_model(in_half(single), full_check=True)


def test_original_stays_in_single_precision(single: onnx.ModelProto, feeds: Feeds) -> None:
    before = single.SerializeToString(deterministic=True)
    recipe.apply(RECIPE.prepare(single, [feeds], Options()), single, "one")
    assert single.SerializeToString(deterministic=True) == before


def test_answers_are_close_and_finite_with_padding(
    single: onnx.ModelProto, in_half: InHalf, feeds: Feeds, run: Run
) -> None:
    assert feeds["attention_mask"].min() == 0
    half, wanted = in_half(single), run(single, feeds)
    for model in (half, as_stored(half)):
        found = run(model, feeds)
        assert found.dtype == np.float32
        assert np.isfinite(found).all()
        # FP16 keeps 11 bits, and 2 layers of sums lose a few of them.
        assert np.abs(found - wanted).max() < 0.01 * np.abs(wanted).max()
        assert not np.array_equal(found, wanted)


def test_padding_is_still_hidden(
    standard: onnx.ModelProto, in_half: InHalf, feeds: Feeds, run: Run
) -> None:
    half = in_half(standard)
    short = {name: values[1:, :8] for name, values in feeds.items()}
    assert short["attention_mask"].all()
    np.testing.assert_allclose(run(half, feeds)[1, :8], run(half, short)[0], atol=0.02)


def test_without_a_text_nothing_is_known(standard: onnx.ModelProto) -> None:
    with pytest.raises(QuantizationError, match="fp16 needs a text"):
        RECIPE.prepare(standard, [], Options())


def overflows(layer: Any) -> None:
    layer.intermediate.dense.weight *= 300
    layer.output.dense.weight *= 300


def overflows_by_a_weight(layer: Any) -> None:
    layer.output.dense.weight *= 1e6


def vanishes(layer: Any) -> None:
    layer.intermediate.dense.weight *= 1e-7
    layer.intermediate.dense.bias *= 1e-7
    layer.output.dense.weight *= 1e7


def cancels_out(layer: Any) -> None:
    layer.output.dense.bias += 3000


BLOCK = "/encoder/layer.0/block"
NORM = [f"{BLOCK}/Add_1", f"{BLOCK}/output_norm/LayerNormalization"]
FEED_FORWARD = [
    f"{BLOCK}/{node}"
    for node in (
        *("intermediate/MatMul", "intermediate/Add", "activation/Div", "activation/Erf"),
        *("activation/Mul", "activation/Mul_1", "output/MatMul"),
    )
]
HARD = [
    (overflows, [f"{BLOCK}/output/MatMul", f"{BLOCK}/output/Add", *NORM]),
    (overflows_by_a_weight, [f"{BLOCK}/output/MatMul", f"{BLOCK}/output/Add", *NORM]),
    (vanishes, FEED_FORWARD),
    (cancels_out, [f"{BLOCK}/output/Add", *NORM]),
]


@pytest.fixture(scope="session", params=HARD, ids=lambda hard: hard[0].__name__)
def hard(
    request: pytest.FixtureRequest,
    make_checkpoint: Callable[..., Path],
    export: Callable[[Path], Exported],
) -> tuple[Exported, list[str]]:
    """A model whose first layer half precision can't hold, and the nodes that it is too much for.

    In FP32 it is as good as any: a layer norm follows.
    """
    change, nodes = request.param
    folder = make_checkpoint("fill-mask")
    model = RobertaForMaskedLM.from_pretrained(folder)
    with torch.no_grad():
        change(model.roberta.encoder.layer[0])
    model.save_pretrained(folder)
    return export(folder), nodes


@pytest.mark.parametrize("which", ["standard", "served"])
def test_what_half_precision_can_not_hold_stays_in_fp32(
    hard: tuple[Exported, list[str]], which: str, prepare: Prepare, feeds: Feeds, run: Run
) -> None:
    exported, nodes = hard
    single = getattr(exported.graphs, which)
    wanted = run(single, feeds)
    assert np.isfinite(wanted).all()

    whole = onnx.ModelProto.FromString(single.SerializeToString())
    whole = convert_float_to_float16(whole, keep_io_types=True)
    assert not lost(run(as_stored(whole), feeds), wanted) < 0.1, "half precision can hold it"

    made = prepare(exported.graphs.standard)
    assert made.scheme.endswith(f"; in FP32: {', '.join(nodes)}")
    half = recipe.apply(made, single, "one")
    onnx.checker.check_model(half, full_check=True)
    assert lost(run(half, feeds), wanted) < 0.03
    assert lost(run(as_stored(half), feeds), wanted) < 0.03


def test_both_graphs_keep_the_same_weights(
    hard: tuple[Exported, list[str]], prepare: Prepare
) -> None:
    exported, _ = hard
    made = prepare(exported.graphs.standard)
    standard = recipe.apply(made, exported.graphs.standard, "one")
    served = recipe.apply(made, exported.graphs.served, "two")
    weights = {t.name: t.SerializeToString() for t in standard.graph.initializer}
    shared = [t for t in served.graph.initializer if t.name in exported_weights(exported)]
    assert len(shared) > 20
    assert all(weights[tensor.name] == tensor.SerializeToString() for tensor in shared)
    types = types_of(standard)
    assert list(types.values()).count(FLOAT) <= 6
    assert types["encoder.embeddings.word_embeddings"] == HALF


def exported_weights(exported: Exported) -> set[str]:
    return {t.name for t in exported.graphs.standard.graph.initializer}


def test_values_are_not_rounded_between_two_nodes_in_fp32(
    hard: tuple[Exported, list[str]], in_half: InHalf
) -> None:
    exported, nodes = hard
    half = in_half(exported.graphs.standard)
    given = {output for node in half.graph.node if node.name in nodes for output in node.output}
    down = [n for n in half.graph.node if n.op_type == "Cast" and n.input[0] in given]
    assert down, "what they give is read in half precision in the end"
    for cast in down:
        readers = [n for n in half.graph.node if cast.output[0] in n.input]
        assert not {node.name for node in readers} & set(nodes)
        assert not any(node.op_type == "Cast" for node in readers)
    casts = [(n.input[0], n.attribute[0].i) for n in half.graph.node if n.op_type == "Cast"]
    assert len(set(casts)) == len(casts), "a value is cast once, however many nodes read it"
    names = [node.name for node in half.graph.node]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("which", ["standard", "served"])
def test_kept_weights_stay_exact(wide_fill_mask: Exported, prepare: Prepare, which: str) -> None:
    graphs = wide_fill_mask.graphs
    made = prepare(graphs.standard)
    single = getattr(graphs, which)
    assert len(made.weights) > 4
    kept = frozenset(made.weights[1:3])
    half = recipe.apply(made, single, "one", kept)
    onnx.checker.check_model(half, full_check=True)
    before = {t.name: t.SerializeToString() for t in single.graph.initializer}
    for tensor in half.graph.initializer:
        if tensor.name in kept:
            assert tensor.SerializeToString() == before[tensor.name]
        elif tensor.name in made.weights:
            assert tensor.data_type == HALF


def test_more_is_right_the_more_is_kept(
    wide_fill_mask: Exported, prepare: Prepare, feeds: Feeds, run: Run
) -> None:
    single = wide_fill_mask.graphs.standard
    made, wanted = prepare(single), run(wide_fill_mask.graphs.standard, feeds)
    losses = [
        lost(run(as_stored(recipe.apply(made, single, "one", kept)), feeds), wanted)
        for kept in (NOTHING, frozenset(made.weights))
    ]
    assert losses[1] < losses[0] < 0.01


def test_value_read_in_both_precisions_is_there_in_both(feeds: Feeds, run: Run) -> None:
    """One reader of `a` stays in FP32 for its other input; one output is that of a node in FP32."""
    nodes = [
        helper.make_node("Cast", ["input_ids"], ["a"], name="a", to=FLOAT),
        helper.make_node("Mul", ["a", "huge"], ["b"], name="b"),
        helper.make_node("Mul", ["a", "small"], ["c"], name="c"),
        helper.make_node("Div", ["b", "huge"], ["d"], name="d"),
        helper.make_node("Add", ["c", "d"], ["logits"], name="e"),
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "length"])],
        [
            helper.make_tensor_value_info(name, FLOAT, ["batch", "length"])
            for name in ("logits", "b")
        ],
        [
            numpy_helper.from_array(np.array(value, np.float32), name)
            for name, value in (("huge", 1e6), ("small", 0.3))
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    made = RECIPE.prepare(model, [feeds], Options())
    assert made.scheme.endswith("; in FP32: b, d")
    half = recipe.apply(made, model, "one")
    onnx.checker.check_model(half, full_check=True)
    assert types_of(half) == {"huge": FLOAT, "small": HALF}
    assert [value.type.tensor_type.elem_type for value in half.graph.output] == [FLOAT, FLOAT]
    ids = feeds["input_ids"].astype(np.float64)
    np.testing.assert_allclose(run(half, {"input_ids": feeds["input_ids"]}), ids * 1.3, rtol=2e-3)


@pytest.fixture(scope="session")
def trained(reality: Path, export: Callable[[Path], Exported]) -> Exported:
    """The trained fill-mask model. Read only."""
    return export(reality / "mlm")


def masked(trained: Exported, reality: Path, count: int) -> list[Feeds]:
    lines = (reality / "data" / "masked.tsv").read_text("utf-8").splitlines()[:count]
    encoded = (trained.tokenizer(line.split("\t")[0], return_tensors="np") for line in lines)
    return [{name: batch[name] for name in ("input_ids", "attention_mask")} for batch in encoded]


@pytest.fixture(scope="session")
def trained_in_half(trained: Exported, reality: Path) -> Prepared:
    """The recipe made ready for it."""
    return RECIPE.prepare(trained.graphs.standard, masked(trained, reality, 8), Options())


@pytest.mark.reality
def test_trained_model_is_in_half_precision_altogether_and_answers_the_same(
    trained: Exported,
    trained_in_half: Prepared,
    reality: Path,
    open_graph: Callable[[Any], Any],
) -> None:
    assert "in FP32" not in trained_in_half.scheme
    served = recipe.apply(trained_in_half, trained.graphs.served, "two")
    sessions = [open_graph(model) for model in (trained.graphs.served, as_stored(served))]
    texts = masked(trained, reality, 40)
    wanted, found = (
        np.concatenate([session.run(None, text)[0] for text in texts]).astype(np.float64)
        for session in sessions
    )
    p, q = (logits - np.log(np.exp(logits).sum(axis=1))[:, None] for logits in (wanted, found))
    assert (np.exp(p) * (p - q)).sum(axis=1).mean() < 1e-5
    assert (wanted.argmax(axis=1) == found.argmax(axis=1)).mean() >= 0.97
    assert 0 < lost(found, wanted) < 0.01


@pytest.mark.reality
def test_distilroberta_takes_at_most_166_mb(trained: Exported, trained_in_half: Prepared) -> None:
    """The graph takes two bytes a parameter and next to nothing else; so will DistilRoBERTa's."""
    size = recipe.apply(trained_in_half, trained.graphs.standard, "one").ByteSize()
    parameters = RobertaForMaskedLM.from_pretrained(trained.folder).num_parameters()
    rest = size - 2 * parameters
    assert abs(rest) < 200_000
    shape = RobertaConfig(
        vocab_size=50265, num_hidden_layers=6, max_position_embeddings=514, type_vocab_size=1
    )
    with torch.device("meta"):
        parameters = RobertaForMaskedLM(shape).num_parameters()
    assert 2 * parameters + rest <= 166e6
