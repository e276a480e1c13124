"""The INT8 recipe: the form of each product, what stays in FP32, and the size of the real shape."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from distilroberta.quantize import int8, onnx_file, products, recipe
from distilroberta.quantize.errors import QuantizationError
from distilroberta.quantize.options import Options
from distilroberta.quantize.recipe import Kept, Prepared
from distilroberta.quantize.saturation import saturates
from distilroberta.quantize.targets import TARGETS

Run = Callable[[Any, dict[str, NDArray[Any]]], Any]
Quantize = Callable[..., Any]

EXPORTS = ["wide_fill_mask", "wide_classifier", "wide_tagger", "wide_answerer"]
STATIC = ("query", "key", "value", "block.attention_output", "block.intermediate")


@pytest.fixture(params=EXPORTS)
def exported(request: pytest.FixtureRequest) -> Any:
    """The export of a checkpoint, for each task. Read only."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def prepared(wide_fill_mask: Any, calibration: Any) -> Prepared:
    """The recipe made ready for the fill-mask model."""
    feeds = calibration(wide_fill_mask, 6)
    return int8.prepare(wide_fill_mask.graphs.standard, feeds, Options())


def held(model: onnx.ModelProto) -> dict[str, NDArray[Any]]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def integer_products(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    """The products of integers by the name that their weight had."""
    return {
        node.input[1].removesuffix("_quantized"): node
        for node in model.graph.node
        if node.op_type == "MatMulIntegerToFloat"
    }


def test_weights_are_all_products_in_graph_order(exported: Any, calibration: Any) -> None:
    model = exported.graphs.standard
    found = int8.prepare(model, calibration(exported, 2), Options())
    assert found.weights == tuple(one.weight for one in products.find(model.graph))
    assert len(found.weights) >= 8


def test_every_product_of_the_encoder_is_one_of_integers(
    exported: Any, int8_graphs: Quantize
) -> None:
    encoder = {
        one.weight
        for one in products.find(exported.graphs.standard.graph)
        if one.weight.startswith("encoder.")
    }
    graphs = int8_graphs(exported)
    for model in (graphs.standard, graphs.served):
        if model is not None:
            assert set(integer_products(model)) == encoder


def test_form_is_that_of_what_a_product_reads(exported: Any, int8_graphs: Quantize) -> None:
    """A constant scale and 128 after a layer norm and attention; after GELU one a row, and 16."""
    graphs = int8_graphs(exported)
    for model in (graphs.standard, graphs.served):
        if model is None:
            continue
        stored = held(model)
        makers = {name: node for node in model.graph.node for name in node.output}
        for name, node in integer_products(model).items():
            codes = makers[node.input[0]]
            is_static = name.removesuffix(".weight").endswith(STATIC)
            assert codes.op_type == "QuantizeLinear"
            assert (codes.input[1] in stored) is is_static, name
            assert bool(node.input[6]) is is_static, name  # its bias
            zero = 16 if name.endswith("block.output.weight") else 128
            assert stored[node.input[4]] == zero, name


@pytest.mark.parametrize(("activation", "zero"), [("relu", 16), ("silu", 16), ("tanh", 128)])
def test_other_activations_have_the_form_of_their_range(
    make_checkpoint: Callable[..., Path],
    export: Callable[[Path], Any],
    int8_graphs: Quantize,
    feeds: dict[str, Any],
    run: Run,
    activation: str,
    zero: int,
) -> None:
    shape = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2}
    exported = export(make_checkpoint("token-classification", hidden_act=activation, **shape))
    model = int8_graphs(exported).standard
    node = integer_products(model)["encoder.layer.1.block.output.weight"]
    assert held(model)[node.input[4]] == zero
    wanted, found = run(exported.graphs.standard, feeds), run(model, feeds)
    cosine = (found * wanted).sum() / (np.linalg.norm(found) * np.linalg.norm(wanted))
    assert cosine > 0.99


@pytest.mark.parametrize("target", TARGETS)
def test_weights_are_of_the_kind_of_the_target(
    wide_classifier: Any, int8_graphs: Quantize, target: str, feeds: Any, run: Run
) -> None:
    exported = wide_classifier
    model = int8_graphs(exported, target).standard
    stored = held(model)
    unsafe = 0
    for node in integer_products(model).values():
        codes = stored[node.input[1]]
        assert codes.dtype == (np.uint8 if target == "avx2" else np.int8)
        if target == "avx2":
            assert stored[node.input[5]] == 128
        else:
            assert node.input[5] == ""
            unsafe += int(saturates(codes).sum())
    assert (unsafe > 0) is (target in ("avx512_vnni", "arm64"))


def test_an_encoder_is_quantized_however_narrow_and_a_narrow_head_is_not(
    make_checkpoint: Callable[..., Path], export: Callable[[Path], Any], int8_graphs: Quantize
) -> None:
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1}
    exported = export(make_checkpoint("text-classification", **shape))
    model = int8_graphs(exported).standard
    assert len(integer_products(model)) == 6
    assert "MatMulNBits" not in {node.op_type for node in model.graph.node}
    assert "GatherBlockQuantized" in {node.op_type for node in model.graph.node}


def test_scheme_says_what_the_weights_are(wide_classifier: Any, calibration: Any) -> None:
    feeds = calibration(wide_classifier, 1)
    schemes = {
        target: int8.prepare(wide_classifier.graphs.standard, feeds, Options(target=target)).scheme
        for target in TARGETS
    }
    assert "S8 weights per channel, bounded against saturation" in schemes["portable"]
    assert "U8 weights per channel;" in schemes["avx2"]
    assert "S8 weights per channel;" in schemes["avx512_vnni"]
    assert all("\n" not in scheme for scheme in schemes.values())


def apply(prepared: Prepared, exported: Any, kept: Kept) -> list[onnx.ModelProto]:
    graphs = exported.graphs
    return [
        recipe.apply(prepared, graphs.standard, "one", kept),
        recipe.apply(prepared, graphs.served, "two", kept),
    ]


def test_kept_weights_stay_and_the_others_do_not(prepared: Prepared, wide_fill_mask: Any) -> None:
    """One of each form, one that shares its input with another, and the head's."""
    names = [
        "layer.0.attention.value",
        "layer.0.block.output",
        "last.block.attention_output",
        "last.attention.key",
    ]
    kept = frozenset(["lm_head.dense.weight", *(f"encoder.{name}.weight" for name in names)])
    assert kept < set(prepared.weights)
    single = held(wide_fill_mask.graphs.standard)
    for model in apply(prepared, wide_fill_mask, kept):
        onnx.checker.check_model(model)
        stored = held(model)
        found = {one.weight for one in products.find(model.graph)}
        assert found == kept
        for name in kept:
            assert np.array_equal(stored[name], single[name])
            assert f"{name}_quantized" not in stored
        others = set(prepared.weights) - kept
        assert not others & set(stored)
        assert set(integer_products(model)) == {n for n in others if n.startswith("encoder.")}


def test_with_all_weights_kept_only_the_embedding_is_quantized(
    prepared: Prepared, wide_fill_mask: Any, feeds: Any, run: Run
) -> None:
    standard, served = apply(prepared, wide_fill_mask, frozenset(prepared.weights))
    assert not integer_products(standard)
    graphs = wide_fill_mask.graphs
    for model, single in ((standard, graphs.standard), (served, graphs.served)):
        wanted, found = run(single, feeds), run(model, feeds)
        assert np.abs(found - wanted).max() < 0.05 * np.abs(wanted).max()


@pytest.mark.parametrize("kept", [(), ("attention.value",), ("block.attention_output",)])
def test_smoothing_of_what_attention_gives_is_in_the_weight_before_unless_one_is_kept(
    prepared: Prepared, wide_fill_mask: Any, feeds: Any, run: Run, kept: tuple[str, ...]
) -> None:
    """In the first layer: a kept one of the two works as well, with nodes that smooth."""
    names = frozenset(f"encoder.layer.0.{name}.weight" for name in kept)
    graphs = wide_fill_mask.graphs
    for model, single in zip(
        apply(prepared, wide_fill_mask, names), (graphs.standard, graphs.served), strict=True
    ):
        makers = {name: node for node in model.graph.node for name in node.output}
        reader = "encoder.layer.0.block.attention_output.weight"
        if reader not in names:
            codes = makers[integer_products(model)[reader].input[0]]
            assert (makers[codes.input[0]].op_type == "Mul") is bool(kept)
        wanted, found = run(single, feeds), run(model, feeds)
        cosine = (found * wanted).sum() / (np.linalg.norm(found) * np.linalg.norm(wanted))
        assert cosine > 0.99


def test_more_kept_weights_bring_the_answer_nearer(
    prepared: Prepared, wide_fill_mask: Any, feeds: Any, run: Run
) -> None:
    single = run(wide_fill_mask.graphs.served, feeds)
    some = frozenset(name for name in prepared.weights if ".layer." in name)
    distances = [
        float(np.abs(run(apply(prepared, wide_fill_mask, kept)[1], feeds) - single).mean())
        for kept in (frozenset(prepared.weights), some, recipe.NOTHING)
    ]
    assert distances == sorted(distances)
    assert distances[0] < distances[2] / 2


def test_without_texts_there_is_no_range(wide_classifier: Any) -> None:
    with pytest.raises(QuantizationError, match=r"calibration texts give no range for .* none"):
        int8.prepare(wide_classifier.graphs.standard, [], Options())


def test_values_that_are_not_finite_have_no_range(wide_classifier: Any, calibration: Any) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(wide_classifier.graphs.standard)
    (tensor,) = (t for t in model.graph.initializer if t.name.endswith("position_embeddings"))
    values = numpy_helper.to_array(tensor) * np.float32("nan")
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    with pytest.raises(QuantizationError, match=r"no range for .* values are not finite"):
        int8.prepare(model, calibration(wide_classifier, 2), Options())


# The sizes of DistilRoBERTa by those of a checkpoint that is exported here: hidden 256,
# intermediate 320, positions 66; and the blocks of a row, of 128 in the embedding and of 64 in the
# head.
VOCABULARY, LAYERS = 50265, 6
REAL = {256: 768, 320: 3072, 66: 514, 2: 6, 4: 12, 1: 1, 64: 64}


def bytes_of(model: onnx.ModelProto, sizes: dict[int, int], layers: int) -> int:
    """The bytes of a graph's weights when they have other sizes, and as many layers."""
    total = 0
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.int64:  # shapes and axes
            continue
        count = math.prod(sizes[size] for size in values.shape)
        repeated = layers - 1 if tensor.name.startswith("encoder.layer.0.") else 1
        total += values.itemsize * count * repeated
    return total


def test_real_shape_takes_at_most_86_megabytes(
    make_checkpoint: Callable[..., Path],
    export: Callable[[Path], Any],
    int8_graphs: Quantize,
    tmp_path: Path,
) -> None:
    """Computed from a small one's, and the computation is tried on another small one."""
    shape = {"hidden_size": 256, "intermediate_size": 320, "num_hidden_layers": 2}
    other = {"hidden_size": 384, "intermediate_size": 480, "num_hidden_layers": 4}
    exports = [export(make_checkpoint("fill-mask", **sizes)) for sizes in (shape, other)]
    small, larger = (int8_graphs(one, texts=2).standard for one in exports)
    vocabulary = len(exports[0].tokenizer)

    tried = {256: 384, 320: 480, 66: 66, 2: 3, 4: 6, 1: 1, 64: 64}
    onnx_file.write(larger, tmp_path / "larger.onnx")
    size = (tmp_path / "larger.onnx").stat().st_size
    predicted = bytes_of(small, tried | {vocabulary: vocabulary}, 4)
    # What is not weights: nodes, names and padding.
    assert 0 < size - predicted < 150_000

    real = bytes_of(small, REAL | {vocabulary: VOCABULARY}, LAYERS)
    # Twice as many nodes, and those of the served graph.
    assert 80e6 < real + 450_000 <= 86e6
