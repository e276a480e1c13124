"""The static recipe: what its graphs are made of, what they compute, and what that costs."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator

from distilroberta.quantize import graph_edit, int8_static, onnx_file, products, ranges, recipe
from distilroberta.quantize.errors import QuantizationError
from distilroberta.quantize.options import METHODS, Options
from distilroberta.quantize.recipe import NOTHING, Kept, Prepared
from distilroberta.quantize.saturation import saturates
from distilroberta.quantize.variants import Graphs
from distilroberta.runtime import InputError

Run = Callable[[Any, dict[str, NDArray[Any]]], Any]
Calibrate = Callable[..., list[dict[str, NDArray[Any]]]]
Weights = dict[str, NDArray[Any]]

EXPORTS = ["wide_fill_mask", "wide_classifier", "wide_tagger", "wide_answerer"]
GRAPHS = [("wide_fill_mask", "served"), *((name, "standard") for name in EXPORTS)]
# Of the logits of random weights.
RANDOM_COSINE = 0.995
EMBEDDING = "encoder.embeddings.word_embeddings"


def apply(prepared: Prepared, graphs: Graphs, kept: Kept = NOTHING) -> Graphs:
    served = graphs.served
    return Graphs(
        recipe.apply(prepared, graphs.standard, "one", kept),
        recipe.apply(prepared, served, "two", kept) if served is not None else None,
    )


@pytest.fixture(scope="module")
def prepared(request: pytest.FixtureRequest, calibration: Calibrate) -> Callable[[str], Prepared]:
    """The recipe made ready for an export, by the fixture's name; once each."""
    made: dict[str, Prepared] = {}

    def prepared_(name: str) -> Prepared:
        if name not in made:
            exported = request.getfixturevalue(name)
            feeds = calibration(exported)
            made[name] = int8_static.prepare(exported.graphs.standard, feeds, Options())
        return made[name]

    return prepared_


@pytest.fixture(scope="module")
def static(
    request: pytest.FixtureRequest, prepared: Callable[[str], Prepared]
) -> Callable[[str], Graphs]:
    """The static graphs of an export, by the fixture's name; once each. Read only."""
    made: dict[str, Graphs] = {}

    def static_(name: str) -> Graphs:
        if name not in made:
            made[name] = apply(prepared(name), request.getfixturevalue(name).graphs)
        return made[name]

    return static_


@pytest.fixture(params=GRAPHS, ids=lambda pair: "-".join(pair))
def pair(
    request: pytest.FixtureRequest, static: Callable[[str], Graphs]
) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """An FP32 graph and the static one made of it. Read only."""
    name, kind = request.param
    return getattr(request.getfixturevalue(name).graphs, kind), getattr(static(name), kind)


def held(model: onnx.ModelProto) -> Weights:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def makers(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    return {output: node for node in model.graph.node for output in node.output}


def encoder_weights(model: onnx.ModelProto) -> list[str]:
    found = products.find(model.graph)
    return [one.weight for one in found if one.weight.startswith("encoder.")]


def integer_products(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    """The products between Q and DQ, by the name that their weight had."""
    return {
        node.input[1].removesuffix("_dequantized"): node
        for node in model.graph.node
        if node.op_type in ("MatMul", "Gemm") and node.input[1].endswith("_dequantized")
    }


def test_graph_is_valid_and_has_operators_of_the_standard_alone(
    pair: tuple[onnx.ModelProto, onnx.ModelProto],
) -> None:
    single, model = pair
    onnx.checker.check_model(model, full_check=True)
    assert {node.domain for node in model.graph.node} == {""}
    assert list(model.opset_import) == list(single.opset_import)
    assert list(model.graph.input) == list(single.graph.input)
    assert list(model.graph.output) == list(single.graph.output)


def test_every_product_of_the_encoder_is_between_pairs(
    pair: tuple[onnx.ModelProto, onnx.ModelProto],
) -> None:
    single, model = pair
    stored, made = held(model), makers(model)
    readers = Counter(name for node in model.graph.node for name in node.input)
    found = integer_products(model)
    tied = {EMBEDDING} & set(found)
    assert set(found) == {*encoder_weights(single), *tied}
    for name, node in found.items():
        values, weight = (made[operand] for operand in node.input)
        codes = made[values.input[0]]
        kinds = (codes.op_type, values.op_type, weight.op_type)
        assert kinds == ("QuantizeLinear", "DequantizeLinear", "DequantizeLinear")
        assert codes.input[1:] == values.input[1:]
        scale, zero = (stored[constant] for constant in codes.input[1:])
        assert (scale.shape, zero.dtype, zero) == ((), np.int8, 0)
        assert readers[codes.output[0]] == readers[values.output[0]] == 1
        weight_codes, scales, zeros = (stored[constant] for constant in weight.input)
        axis = weight.attribute[0].i
        assert (weight_codes.dtype, axis) == (np.int8, 0 if name == EMBEDDING else 1)
        assert scales.shape == zeros.shape == (weight_codes.shape[axis],)
        assert not zeros.any()
        assert (scales > 0).all()
        along = weight_codes.T if name == EMBEDDING else weight_codes
        assert not saturates(along).any()
        assert np.abs(weight_codes.astype(int)).max() == 127


def test_embedding_is_stored_once_and_read_as_codes(
    pair: tuple[onnx.ModelProto, onnx.ModelProto],
) -> None:
    single, model = pair
    stored = held(model)
    table = held(single)[EMBEDDING]
    assert EMBEDDING not in stored
    codes, scales = stored[f"{EMBEDDING}_quantized"], stored[f"{EMBEDDING}_scale"]
    assert (codes.dtype, codes.shape) == (np.int8, table.shape)
    assert [value.size for value in stored.values()].count(table.size) == 1
    error = np.abs(codes * scales[:, None] - table)
    assert (error <= 1.001 * scales[:, None]).all()
    assert (error <= 0.501 * scales[:, None]).mean() > 0.99
    lookups = [n for n in model.graph.node if n.op_type == "Gather" and "input_ids" in n.input]
    assert sorted(node.input[0] for node in lookups) == [
        f"{EMBEDDING}_quantized",
        f"{EMBEDDING}_scale",
    ]


def test_onnxruntime_runs_every_product_in_integers(
    pair: tuple[onnx.ModelProto, onnx.ModelProto], tmp_path: Path
) -> None:
    """Only the looked up embedding is dequantized; of weights, nothing is."""
    import onnxruntime

    _, model = pair
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 3  # it warns that the file is for this machine
    onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    kinds = Counter(node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node)
    assert kinds["MatMulIntegerToFloat"] + kinds["QGemm"] == len(integer_products(model))
    assert kinds["DequantizeLinear"] == 1


@pytest.fixture
def tokens(feeds: Any) -> dict[str, NDArray[Any]]:
    """A row of twelve tokens, two of them masks."""
    return {name: values[:1] for name, values in feeds.items()}


def test_graph_computes_what_the_operators_say(
    pair: tuple[onnx.ModelProto, onnx.ModelProto], tokens: Any, run: Run
) -> None:
    """Against onnx's own evaluator, which fuses nothing.

    A value that falls between two codes may be rounded to one or the other, and no further.
    """
    single, model = pair
    found = run(model, tokens)
    # The evaluator knows DequantizeLinear from opset 19 on, where what is used here is the same.
    newer = onnx.ModelProto()
    newer.CopyFrom(model)
    graph_edit.raise_opset(newer, 21)
    (wanted, *_) = ReferenceEvaluator(newer).run(None, tokens)
    scale = np.abs(wanted).max()
    assert np.abs(found - wanted).max() < 0.02 * scale
    lost = np.abs(run(single, tokens) - wanted).max()
    assert np.abs(found - wanted).mean() < lost / 2


@pytest.mark.parametrize("graph", ["standard", "served"])
def test_product_is_one_of_integers(
    wide_fill_mask: Any, static: Callable[[str], Graphs], tokens: Any, open_graph: Any, graph: str
) -> None:
    """What leaves each product of the fused graph, against integers of numpy."""
    model = onnx.ModelProto()
    model.CopyFrom(getattr(static("wide_fill_mask"), graph))
    stored = held(model)
    ends = {node.input[0]: node for node in model.graph.node if node.op_type == "Add"}
    made = makers(model)
    found = integer_products(model)
    shifts = {name: made[f"{name}_shifted"] for name in found}
    names = [*(s.input[0] for s in shifts.values())]
    names += [ends[node.output[0]].output[0] for node in found.values()]
    present = {value.name for value in model.graph.output}
    new = [name for name in dict.fromkeys(names) if name not in present]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in new)
    values = dict(zip(names, open_graph(model).run(names, tokens), strict=True))
    for name, node in found.items():
        shifted = values[shifts[name].input[0]] - stored[f"{name}_shift"]
        factor = 1 / stored[f"{name}_values_scale"] if name == EMBEDDING else None
        smooth = shifted * (stored[f"{name}_factor"] if factor is None else factor)
        codes = np.clip(np.rint(smooth), -128, 127).astype(np.int32)
        weight = stored[f"{name}_quantized"].astype(np.int32)
        sums = codes @ (weight.T if name == EMBEDDING else weight)
        step = 1 if factor is None else stored[f"{name}_values_scale"]
        wanted = sums * (stored[f"{name}_scale"] * step) + stored[f"{name}_bias"]
        output = values[ends[node.output[0]].output[0]]
        assert np.abs(output - wanted).max() < 1e-4 * np.abs(wanted).max(), name


def test_mean_of_what_a_product_reads_is_multiplied_exactly(
    wide_classifier: Any, calibration: Calibrate, static: Callable[[str], Graphs]
) -> None:
    single, model = wide_classifier.graphs.standard, static("wide_classifier").standard
    found = {one.weight: one for one in products.find(single.graph)}
    operands = {
        name: ranges.Operand(found[name].values, 0, lambda _: None)  # type: ignore[arg-type, return-value]
        for name in encoder_weights(single)
    }
    seen = ranges.find(single, operands, calibration(wide_classifier), "minmax")
    before, after = held(single), held(model)
    for name, one in seen.of.items():
        wanted = one.mean.astype(np.float64) @ before[name] + before[found[name].bias_name()]
        smooth = (one.mean - after[f"{name}_shift"]) * after[f"{name}_factor"].astype(np.float64)
        rounded = after[f"{name}_quantized"] * after[f"{name}_scale"]
        assert smooth @ rounded + after[f"{name}_bias"] == pytest.approx(wanted, abs=1e-4)
        assert np.abs(smooth).max() <= 127


def test_calibrated_values_fill_the_codes_and_none_is_clipped(
    wide_tagger: Any, calibration: Calibrate, static: Callable[[str], Graphs], open_graph: Any
) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(static("wide_tagger").standard)
    names = [f"{name}_smooth" for name in integer_products(model)]
    # The first product reads what it was calibrated on, the later ones what quantized ones give.
    first = next(name for name in names if ".0.attention.query" in name)
    model.graph.output.append(onnx.ValueInfoProto(name=first))
    session = open_graph(model)
    values = [session.run([first], feed)[0] for feed in calibration(wide_tagger)]
    largest = max(float(np.abs(one).max()) for one in values)
    assert 120 < largest < 130


@pytest.mark.parametrize("name", EXPORTS)
def test_answers_are_near_those_of_fp32(
    request: pytest.FixtureRequest, static: Callable[[str], Graphs], many: Any, run: Run, name: str
) -> None:
    graphs = request.getfixturevalue(name).graphs
    for model, single in (
        (static(name).standard, graphs.standard),
        (static(name).served, graphs.served),
    ):
        if model is None:
            continue
        wanted, found = run(single, many), run(model, many)
        cosine = (found * wanted).sum() / (np.linalg.norm(found) * np.linalg.norm(wanted))
        assert cosine > RANDOM_COSINE
        assert not np.array_equal(found, wanted)


def test_standard_and_served_graph_answer_alike(
    static: Callable[[str], Graphs], feeds: Any, run: Run, wide_fill_mask: Any
) -> None:
    graphs = static("wide_fill_mask")
    masks = feeds["input_ids"] == wide_fill_mask.tokenizer.mask_token_id
    standard, served = (run(model, feeds) for model in (graphs.standard, graphs.served))
    assert np.abs(standard[masks] - served).max() < 0.02 * np.abs(served).max()


def large(model: onnx.ModelProto) -> set[bytes]:
    least = onnx_file.SHARED_FROM_BYTES
    return {tensor.raw_data for tensor in model.graph.initializer if len(tensor.raw_data) >= least}


def test_served_graph_reads_every_large_weight_from_the_other(
    static: Callable[[str], Graphs], feeds: Any, run: Run, tmp_path: Path
) -> None:
    graphs = static("wide_fill_mask")
    assert graphs.served is not None
    assert large(graphs.standard) == large(graphs.served)
    found = onnx_file.write(graphs.standard, tmp_path / "standard.onnx")
    reading = onnx.ModelProto()
    reading.CopyFrom(graphs.served)
    onnx_file.read_from(reading, found, "standard.onnx")
    assert not large(reading)
    onnx_file.write(reading, tmp_path / "served.onnx")
    assert np.array_equal(run(tmp_path / "served.onnx", feeds), run(graphs.served, feeds))


@pytest.mark.parametrize("method", METHODS)
def test_same_bytes_every_time(wide_fill_mask: Any, calibration: Calibrate, method: str) -> None:
    graphs = wide_fill_mask.graphs
    before = [model.SerializeToString(deterministic=True) for model in _both(graphs)]
    first, second = (
        [
            model.SerializeToString(deterministic=True)
            for model in _both(
                apply(
                    int8_static.prepare(
                        graphs.standard, calibration(wide_fill_mask, 4), Options(method=method)
                    ),
                    graphs,
                )
            )
        ]
        for _ in range(2)
    )
    assert first == second
    assert [model.SerializeToString(deterministic=True) for model in _both(graphs)] == before


def _both(graphs: Graphs) -> list[onnx.ModelProto]:
    assert graphs.served is not None
    return [graphs.standard, graphs.served]


@pytest.mark.parametrize("name", EXPORTS)
def test_weights_are_those_of_the_encoder_in_graph_order(
    request: pytest.FixtureRequest, prepared: Callable[[str], Prepared], name: str
) -> None:
    model = request.getfixturevalue(name).graphs.standard
    assert list(prepared(name).weights) == encoder_weights(model)
    assert len(prepared(name).weights) >= 8


def test_kept_weights_stay_and_the_others_do_not(
    wide_fill_mask: Any, prepared: Callable[[str], Prepared]
) -> None:
    """One that shares its input, one that does not, and one that is a matrix in one graph."""
    names = ["layer.0.block.output", "last.attention.query", "last.block.intermediate"]
    kept = frozenset(f"encoder.{name}.weight" for name in names)
    single = held(wide_fill_mask.graphs.standard)
    for model in _both(apply(prepared("wide_fill_mask"), wide_fill_mask.graphs, kept)):
        onnx.checker.check_model(model)
        stored = held(model)
        for name in kept:
            assert np.array_equal(stored[name], single[name])
        others = set(prepared("wide_fill_mask").weights) - kept
        assert set(integer_products(model)) == others | {EMBEDDING}
        assert not others & set(stored)


def test_more_kept_weights_bring_the_answer_nearer(
    wide_fill_mask: Any, prepared: Callable[[str], Prepared], feeds: Any, run: Run
) -> None:
    ready, graphs = prepared("wide_fill_mask"), wide_fill_mask.graphs
    single = run(graphs.served, feeds)
    some = frozenset(name for name in ready.weights if ".layer." in name)
    distances = [
        float(np.abs(run(apply(ready, graphs, kept).served, feeds) - single).mean())
        for kept in (frozenset(ready.weights), some, NOTHING)
    ]
    assert distances == sorted(distances)


def test_product_without_a_bias_gets_one(
    wide_classifier: Any, calibration: Calibrate, many: Any, run: Run
) -> None:
    """An older export shares equal biases through an Identity, and so no constant is added."""
    model = onnx.ModelProto()
    model.CopyFrom(wide_classifier.graphs.standard)
    product = next(one for one in products.find(model.graph) if ".0.attention.query" in one.weight)
    assert product.bias is not None
    name = product.bias_name()
    place = list(model.graph.node).index(product.node)
    model.graph.node.insert(place, onnx.helper.make_node("Identity", [name], ["shared"]))
    product.bias.input[:] = [product.output, "shared"]
    assert not any(
        ".0.attention.query" in one.weight and one.bias for one in products.find(model.graph)
    )
    ready = int8_static.prepare(model, calibration(wide_classifier), Options())
    found, wanted = run(recipe.apply(ready, model, "one"), many), run(model, many)
    cosine = (found * wanted).sum() / (np.linalg.norm(found) * np.linalg.norm(wanted))
    assert cosine > RANDOM_COSINE


class NoFeeds:
    """Batches that nobody may ask for."""

    def __iter__(self) -> Iterator[dict[str, NDArray[np.int64]]]:
        raise AssertionError("calibrated again")


@pytest.mark.parametrize("method", METHODS)
def test_saved_ranges_make_the_same_graphs(
    wide_fill_mask: Any, calibration: Calibrate, tmp_path: Path, method: str
) -> None:
    graphs, path = wide_fill_mask.graphs, tmp_path / "ranges.json"
    options = Options(method=method, save_ranges=path)
    first = int8_static.prepare(graphs.standard, calibration(wide_fill_mask, 4), options)
    second = int8_static.prepare(graphs.standard, NoFeeds(), Options(ranges=path))
    assert first.scheme == second.scheme
    assert f"{method} of 4 texts" in first.scheme
    for one, other in zip(_both(apply(first, graphs)), _both(apply(second, graphs)), strict=True):
        assert one.SerializeToString() == other.SerializeToString()
    assert EMBEDDING in json.loads(path.read_text("utf-8"))["ranges"]


def test_ranges_of_another_checkpoint_are_refused(
    wide_classifier: Any, wide_tagger: Any, calibration: Calibrate, tmp_path: Path
) -> None:
    path = tmp_path / "ranges.json"
    feeds = calibration(wide_tagger, 2)
    options = Options(save_ranges=path)
    int8_static.prepare(wide_tagger.graphs.standard, feeds, options)
    with pytest.raises(InputError, match=r"ranges\.json holds the ranges of a model with other"):
        int8_static.prepare(wide_classifier.graphs.standard, feeds, Options(ranges=path))


def test_place_for_ranges_is_checked_before_the_work(wide_classifier: Any, tmp_path: Path) -> None:
    options = Options(save_ranges=tmp_path / "no" / "ranges.json")
    with pytest.raises(InputError, match="ranges can't be saved"):
        int8_static.prepare(wide_classifier.graphs.standard, NoFeeds(), options)


def test_unknown_method_is_refused_before_the_work(wide_classifier: Any) -> None:
    message = "unknown method 'mean': choose from minmax, entropy, percentile"
    with pytest.raises(InputError, match=message):
        int8_static.prepare(wide_classifier.graphs.standard, NoFeeds(), Options(method="mean"))


def test_graph_without_a_lookup_is_refused(wide_classifier: Any, calibration: Calibrate) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(wide_classifier.graphs.standard)
    for node in model.graph.node:
        node.input[:] = ["attention_mask" if name == "input_ids" else name for name in node.input]
    with pytest.raises(QuantizationError, match="has no Gather of word embeddings by input_ids"):
        int8_static.prepare(model, calibration(wide_classifier, 2), Options())


def test_real_shape_takes_less_than_90_megabytes(
    wide_fill_mask: Any, static: Callable[[str], Graphs]
) -> None:
    """By the sizes of DistilRoBERTa, of which these weights have the first layer and the last."""
    vocabulary, positions = held(wide_fill_mask.graphs.standard)[EMBEDDING].shape[0], 66
    real = {128: 768, 384: 2304, 256: 3072, vocabulary: 50265, positions: 514, 1: 1}
    total = 0
    for tensor in static("wide_fill_mask").standard.graph.initializer:
        sizes = dict(real)
        if "key_value" in tensor.name:
            sizes[256] = 1536
        width = 1 if tensor.data_type == TensorProto.INT8 else 4
        repeated = 5 if tensor.name.startswith("encoder.layer.0.") else 1
        total += repeated * width * math.prod(sizes[size] for size in tensor.dims)
    assert 82e6 < total < 88e6
