"""The INT4 recipe: what its graphs are made of, what they compute, and how large they get."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from distilroberta.quantize import gptq, int4, observe, onnx_file, products, recipe
from distilroberta.quantize.errors import QuantizationError
from distilroberta.quantize.options import Options
from distilroberta.quantize.products import Product
from distilroberta.quantize.recipe import NOTHING, Kept, Prepared
from distilroberta.quantize.variants import Graphs

Feeds = dict[str, NDArray[Any]]
Run = Callable[[Any, Feeds], Any]
Weights = dict[str, NDArray[Any]]
Made = Callable[[str], Graphs]
Answers = Callable[[Any, onnx.ModelProto], NDArray[Any]]

EXPORTS = ["wide_fill_mask", "wide_classifier", "wide_tagger", "wide_answerer"]
GRAPHS = [("wide_fill_mask", "served"), *((name, "standard") for name in EXPORTS)]
TEXTS, OTHER_TEXTS = 12, 48
TOLERANCE = 1e-5
WORDS = "encoder.embeddings.word_embeddings"
POSITIONS = "encoder.embeddings.position_embeddings"


def apply(prepared: Prepared, graphs: Graphs, kept: Kept = NOTHING) -> Graphs:
    served = graphs.served
    return Graphs(
        recipe.apply(prepared, graphs.standard, "one", kept),
        recipe.apply(prepared, served, "two", kept) if served is not None else None,
    )


def both(graphs: Graphs) -> list[onnx.ModelProto]:
    return [model for model in (graphs.standard, graphs.served) if model is not None]


@pytest.fixture(scope="module")
def prepared(
    request: pytest.FixtureRequest, calibration: Callable[..., Any]
) -> Callable[[str], Prepared]:
    """The recipe made ready for an export, by the fixture's name; once each."""
    made: dict[str, Prepared] = {}

    def prepared_(name: str) -> Prepared:
        if name not in made:
            exported = request.getfixturevalue(name)
            feeds = calibration(exported, TEXTS)
            made[name] = int4.prepare(exported.graphs.standard, feeds, Options())
        return made[name]

    return prepared_


@pytest.fixture(scope="module")
def graphs_of(request: pytest.FixtureRequest, prepared: Callable[[str], Prepared]) -> Made:
    """The INT4 graphs of an export, by the fixture's name; once each. Read only."""
    made: dict[str, Graphs] = {}

    def graphs_of_(name: str) -> Graphs:
        if name not in made:
            made[name] = apply(prepared(name), request.getfixturevalue(name).graphs)
        return made[name]

    return graphs_of_


@pytest.fixture(params=GRAPHS, ids=lambda pair: "-".join(pair))
def pair(
    request: pytest.FixtureRequest, graphs_of: Made
) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """An FP32 graph and the INT4 one made of it. Read only."""
    name, kind = request.param
    return getattr(request.getfixturevalue(name).graphs, kind), getattr(graphs_of(name), kind)


def held(model: onnx.ModelProto) -> Weights:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}


def in_blocks(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    """The products in blocks by the name that their weight had."""
    return {
        node.input[1].removesuffix("_blocks"): node
        for node in model.graph.node
        if node.op_type == "MatMulNBits"
    }


def dequantized(stored: Weights, name: str, columns: int) -> NDArray[np.float64]:
    """A stored matrix of 4 bits, (rows, columns), by division of its bytes."""
    codes = stored.get(f"{name}_blocks", stored.get(f"{name}_quantized"))
    assert codes is not None
    packed = codes.reshape(len(codes), -1)
    scales, zeros = stored[f"{name}_scales"], stored[f"{name}_zero_points"]
    matrix = np.stack([packed % 16, packed // 16], axis=2).reshape(len(packed), columns)
    zero = np.stack([zeros % 16, zeros // 16], axis=2).reshape(len(zeros), -1)
    block = columns // scales.shape[1]
    offsets = np.repeat(zero[:, : scales.shape[1]].astype(np.float64), block, axis=1)
    return (matrix - offsets) * np.repeat(scales.astype(np.float64), block, axis=1)


@pytest.fixture(scope="module")
def answers(calibration: Callable[..., Any], open_graph: Callable[..., Any]) -> Answers:
    """Run a graph on texts that are not observed; return all logits in a row."""

    def answers_(exported: Any, model: onnx.ModelProto) -> NDArray[Any]:
        session = open_graph(model)
        batches = calibration(exported, TEXTS + OTHER_TEXTS)[TEXTS:]
        return np.concatenate([session.run(None, feeds)[0].ravel() for feeds in batches])

    return answers_


def cosine(found: NDArray[Any], wanted: NDArray[Any]) -> float:
    return float((found * wanted).sum() / (np.linalg.norm(found) * np.linalg.norm(wanted)))


def encoder_products(model: onnx.ModelProto) -> list[Product]:
    return [one for one in products.find(model.graph) if one.in_encoder]


def test_graph_is_valid_and_has_the_same_inputs_and_outputs(
    pair: tuple[onnx.ModelProto, onnx.ModelProto],
) -> None:
    single, model = pair
    onnx.checker.check_model(model, full_check=True)
    assert {opset.domain for opset in model.opset_import} == {"", "com.microsoft"}
    assert list(model.graph.input) == list(single.graph.input)
    assert list(model.graph.output) == list(single.graph.output)


def test_every_product_is_in_blocks(pair: tuple[onnx.ModelProto, onnx.ModelProto]) -> None:
    """Of 4 bits with zero points in the encoder, of 8 without in the head."""
    single, model = pair
    found, stored = in_blocks(model), held(model)
    wanted = {one.weight: one for one in products.find(single.graph)}
    assert set(wanted) == {name for name in found if not name.startswith(WORDS)}
    assert not products.find(model.graph)
    for name, product in wanted.items():
        node, shape = found[name], held(single)[name].shape
        is_encoder = name.startswith("encoder.")
        block = 32 if is_encoder else 64
        fields = {"K": shape[0], "N": shape[1], "accuracy_level": 4}
        fields |= {"bits": 4 if is_encoder else 8, "block_size": block}
        assert attributes(node) == fields
        assert (node.input[0], node.output[0]) == (product.values, product.output)
        codes = stored[node.input[1]]
        assert codes.dtype == np.uint8
        assert codes.shape == (shape[1], shape[0] // block, block // 2 if is_encoder else block)
        assert len(node.input) == (4 if is_encoder else 3)
        assert name not in stored


def test_weight_of_the_encoder_is_within_its_steps(
    pair: tuple[onnx.ModelProto, onnx.ModelProto],
) -> None:
    """Rounded for its products, so further away than the nearest, but no other weight."""
    single, model = pair
    before, after = held(single), held(model)
    for product in encoder_products(single):
        weight = before[product.weight].T
        found = dequantized(after, product.weight, weight.shape[1])
        assert cosine(found, weight) > 0.98
        steps = np.repeat(after[f"{product.weight}_scales"], 32, axis=1)
        assert np.abs(found - weight).max() < 16 * steps.max()
        assert (np.abs(found - weight) <= 0.501 * steps).mean() > 0.3


def test_position_table_has_8_bits(pair: tuple[onnx.ModelProto, onnx.ModelProto]) -> None:
    single, model = pair
    stored, table = held(model), held(single)[POSITIONS]
    lookups = {
        node.input[0]: node for node in model.graph.node if node.op_type == "GatherBlockQuantized"
    }
    assert set(lookups) == {f"{WORDS}_quantized", f"{POSITIONS}_quantized"}
    assert attributes(lookups[f"{POSITIONS}_quantized"])["bits"] == 8
    assert attributes(lookups[f"{WORDS}_quantized"])["bits"] == 4
    codes, scales = stored[f"{POSITIONS}_quantized"], stored[f"{POSITIONS}_scales"]
    assert codes.shape == table.shape
    steps = np.repeat(scales, table.shape[1] // scales.shape[1], axis=1)
    values = (codes.astype(np.float64) - 128) * steps
    assert (np.abs(values - table) <= 0.5001 * steps).all()
    assert POSITIONS not in stored
    matrices = {tensor.name for tensor in model.graph.initializer if len(tensor.dims) == 2}
    gathers = [node for node in model.graph.node if node.op_type == "Gather"]
    assert not any(node.input[0] in matrices for node in gathers)


def test_embedding_is_stored_once_for_the_lookup_and_the_vocabulary(graphs_of: Made) -> None:
    standard, served = both(graphs_of("wide_fill_mask"))
    one, two = held(standard), held(served)
    assert f"{WORDS}_blocks" not in one
    assert two[f"{WORDS}_blocks"].tobytes() == one[f"{WORDS}_quantized"].tobytes()
    assert two[f"{WORDS}_quantized"].tobytes() == one[f"{WORDS}_quantized"].tobytes()
    assert one[f"{WORDS}_quantized"].shape[1] == 128 // 2
    for model in (standard, served):
        node = in_blocks(model)[WORDS]
        (lookup,) = (
            node
            for node in model.graph.node
            if node.op_type == "GatherBlockQuantized" and "input_ids" in node.input
        )
        assert list(node.input)[2:] == list(lookup.input)[2:]
        assert attributes(node)["bits"] == attributes(lookup)["bits"] == 4
        assert attributes(node)["block_size"] == attributes(lookup)["block_size"] == 64


@pytest.mark.parametrize("name", EXPORTS[1:])
def test_model_without_a_vocabulary_has_a_lookup_alone(
    request: pytest.FixtureRequest, graphs_of: Made, name: str
) -> None:
    """Whose rows are rounded to the nearest: nothing is multiplied by them."""
    table = held(request.getfixturevalue(name).graphs.standard)[WORDS]
    model = graphs_of(name).standard
    assert WORDS not in in_blocks(model)
    stored = held(model)
    found = dequantized(stored, WORDS, table.shape[1])
    steps = np.repeat(stored[f"{WORDS}_scales"], 64, axis=1)
    assert (np.abs(found - table) <= 0.5001 * steps).all()


def inputs_of(
    model: onnx.ModelProto, names: Sequence[str], batches: list[Feeds]
) -> dict[str, NDArray[np.float64]]:
    """The mean over all tokens of what flows through a graph, by name."""
    seen: dict[str, list[NDArray[Any]]] = {}
    for found in observe.observe(model, names, batches):
        for name, values in found.items():
            seen.setdefault(name, []).append(values.reshape(-1, values.shape[-1]))
    return {
        name: np.concatenate(rows).astype(np.float64).mean(axis=0) for name, rows in seen.items()
    }


@pytest.mark.parametrize("name", ["wide_fill_mask", "wide_classifier"])
def test_product_of_the_mean_is_that_of_fp32(
    request: pytest.FixtureRequest, calibration: Callable[..., Any], graphs_of: Made, name: str
) -> None:
    """What rounding takes from it is in the bias."""
    exported = request.getfixturevalue(name)
    single, model = exported.graphs.standard, graphs_of(name).standard
    found = encoder_products(single)
    means = inputs_of(single, [one.values for one in found], calibration(exported, TEXTS))
    before, after = held(single), held(model)
    biases = {node.input[0]: node.input[1] for node in model.graph.node if node.op_type == "Add"}
    for product in found:
        weight, mean = before[product.weight], means[product.values]
        wanted = mean @ weight + before[product.bias_name()]
        rounded = mean @ dequantized(after, product.weight, len(weight)).T
        assert rounded + after[biases[product.output]] == pytest.approx(wanted, abs=1e-4)
        assert np.abs(rounded + before[product.bias_name()] - wanted).max() > 1e-3


def test_vocabulary_of_the_mean_is_that_of_fp32(
    wide_fill_mask: Any, calibration: Callable[..., Any], graphs_of: Made
) -> None:
    single, model = wide_fill_mask.graphs.standard, graphs_of("wide_fill_mask").standard
    (projection,) = (node for node in single.graph.node if node.op_type == "Gemm")
    feeds = calibration(wide_fill_mask, TEXTS)
    (mean,) = inputs_of(single, [projection.input[0]], feeds).values()
    before, after = held(single), held(model)
    wanted = mean @ before[WORDS].T + before[projection.input[2]]
    product = in_blocks(model)[WORDS].output[0]
    (bias,) = (node.input[1] for node in model.graph.node if product in node.input)
    rounded = mean @ dequantized(after, WORDS, before[WORDS].shape[1]).T
    assert rounded + after[bias] == pytest.approx(wanted, abs=1e-4)


def test_bias_of_several_products_is_corrected_for_each(
    wide_classifier: Any, calibration: Callable[..., Any]
) -> None:
    single = onnx.ModelProto()
    single.CopyFrom(wide_classifier.graphs.standard)
    found = [one for one in encoder_products(single) if one.weight.endswith(".output.weight")]
    first, second = found[:2]
    assert first.bias is not None
    assert second.bias is not None
    second.bias.input[:] = [second.output, first.bias_name()]
    ready = int4.prepare(single, calibration(wide_classifier, 3), Options())
    model = recipe.apply(ready, single, "one")
    biases = {node.input[0]: node.input[1] for node in model.graph.node if node.op_type == "Add"}
    names = {biases[first.output], biases[second.output]}
    assert names == {f"{first.weight}_bias", f"{second.weight}_bias"}
    stored = held(model)
    assert not np.array_equal(*(stored[name] for name in names))


def test_product_without_a_bias_stays_without_one(
    wide_classifier: Any, calibration: Callable[..., Any], answers: Answers
) -> None:
    """An older export shares equal biases through an Identity, and so no constant is added."""
    single = onnx.ModelProto()
    single.CopyFrom(wide_classifier.graphs.standard)
    product = encoder_products(single)[0]
    assert product.bias is not None
    place = list(single.graph.node).index(product.node)
    name = product.bias_name()
    single.graph.node.insert(place, onnx.helper.make_node("Identity", [name], ["shared"]))
    product.bias.input[:] = [product.output, "shared"]
    ready = int4.prepare(single, calibration(wide_classifier, TEXTS), Options())
    model = recipe.apply(ready, single, "one")
    assert np.array_equal(held(model)[name], held(single)[name])
    assert attributes(in_blocks(model)[product.weight])["bits"] == 4
    found, wanted = answers(wide_classifier, model), answers(wide_classifier, single)
    assert cosine(found, wanted) > int4.RECIPE.lowest_cosine


@pytest.mark.parametrize("name", EXPORTS)
def test_answers_are_near_those_of_fp32(
    request: pytest.FixtureRequest, answers: Answers, graphs_of: Made, name: str
) -> None:
    """On texts that were not observed."""
    exported = request.getfixturevalue(name)
    for model, single in zip(both(graphs_of(name)), both(exported.graphs), strict=True):
        found, wanted = answers(exported, model), answers(exported, single)
        assert cosine(found, wanted) > int4.RECIPE.lowest_cosine
        assert not np.array_equal(found, wanted)


@pytest.mark.parametrize("name", EXPORTS)
def test_answers_are_nearer_than_of_weights_rounded_to_the_nearest(
    request: pytest.FixtureRequest,
    answers: Answers,
    calibration: Callable[..., Any],
    graphs_of: Made,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    exported = request.getfixturevalue(name)
    single = exported.graphs.standard
    quantize = gptq.quantize
    monkeypatch.setattr(
        gptq, "quantize", lambda matrix, _, block: quantize(matrix, np.eye(matrix.shape[1]), block)
    )
    plain = int4.prepare(single, calibration(exported, TEXTS), Options())
    wanted = answers(exported, single)
    lost, found = (
        float(np.abs(answers(exported, model) - wanted).mean())
        for model in (recipe.apply(plain, single, "one"), graphs_of(name).standard)
    )
    assert found < 0.97 * lost


def test_standard_and_served_graph_answer_alike(
    graphs_of: Made, feeds: Feeds, run: Run, wide_fill_mask: Any
) -> None:
    standard, served = (run(model, feeds) for model in both(graphs_of("wide_fill_mask")))
    masks = feeds["input_ids"] == wide_fill_mask.tokenizer.mask_token_id
    assert np.abs(standard[masks] - served).max() < 1e-4 * np.abs(served).max()


def test_both_graphs_have_the_same_weights_by_name(graphs_of: Made) -> None:
    standard, served = (held(model) for model in both(graphs_of("wide_fill_mask")))
    common = {name for name in set(standard) & set(served) if standard[name].dtype != np.int64}
    large = {name for name in served if served[name].nbytes >= onnx_file.SHARED_FROM_BYTES}
    assert large <= common | {f"{WORDS}_blocks"}
    assert len(common) > 30
    for name in common:
        assert standard[name].dtype == served[name].dtype
        assert standard[name].tobytes() == served[name].tobytes(), name


def test_served_graph_reads_every_large_weight_from_the_other(
    graphs_of: Made, feeds: Feeds, run: Run, tmp_path: Path
) -> None:
    standard, served = both(graphs_of("wide_fill_mask"))
    found = onnx_file.write(standard, tmp_path / "standard.onnx")
    reading = onnx.ModelProto()
    reading.CopyFrom(served)
    onnx_file.read_from(reading, found, "standard.onnx")
    left = [len(tensor.raw_data) for tensor in reading.graph.initializer]
    assert max(left) < onnx_file.SHARED_FROM_BYTES
    onnx_file.write(reading, tmp_path / "served.onnx")
    assert np.array_equal(run(tmp_path / "served.onnx", feeds), run(served, feeds))


def test_same_bytes_every_time_and_fp32_stays(
    wide_fill_mask: Any, calibration: Callable[..., Any]
) -> None:
    graphs = wide_fill_mask.graphs
    before = [model.SerializeToString(deterministic=True) for model in both(graphs)]
    first, second = (
        [
            model.SerializeToString(deterministic=True)
            for model in both(
                apply(
                    int4.prepare(graphs.standard, calibration(wide_fill_mask, 3), Options()), graphs
                )
            )
        ]
        for _ in range(2)
    )
    assert first == second
    assert [model.SerializeToString(deterministic=True) for model in both(graphs)] == before


@pytest.mark.parametrize("name", EXPORTS)
def test_weights_are_all_products_in_graph_order(
    request: pytest.FixtureRequest, prepared: Callable[[str], Prepared], name: str
) -> None:
    model = request.getfixturevalue(name).graphs.standard
    ready = prepared(name)
    assert ready.weights == tuple(one.weight for one in products.find(model.graph))
    assert "of 32 in the encoder, of 64 in the tied word embedding" in ready.scheme
    assert "\n" not in ready.scheme


def test_kept_weights_have_8_bits_and_their_bias(
    wide_fill_mask: Any, prepared: Callable[[str], Prepared]
) -> None:
    """One of several columns, one of the feed-forward part, and one of the last layer."""
    names = ["layer.0.attention.key", "layer.0.block.output", "last.attention.query"]
    kept = frozenset(f"encoder.{name}.weight" for name in names)
    ready, graphs = prepared("wide_fill_mask"), wide_fill_mask.graphs
    assert kept < set(ready.weights)
    for model, single in zip(both(apply(ready, graphs, kept)), both(graphs), strict=True):
        onnx.checker.check_model(model)
        found, stored, before = in_blocks(model), held(model), held(single)
        for product in encoder_products(single):
            name, is_kept = product.weight, product.weight in kept
            assert attributes(found[name])["bits"] == (8 if is_kept else 4), name
            assert (product.bias_name() in stored) is is_kept
            assert (f"{name}_bias" in stored) is not is_kept
            if is_kept:
                codes = stored[f"{name}_blocks"].astype(np.float64) - 128
                values = (codes * stored[f"{name}_scales"][:, :, None]).reshape(len(codes), -1)
                assert np.abs(values - before[name].T).max() < 0.01 * np.abs(before[name]).max()


def test_more_kept_weights_bring_the_answer_nearer(
    wide_fill_mask: Any, prepared: Callable[[str], Prepared], feeds: Feeds, run: Run
) -> None:
    ready, graphs = prepared("wide_fill_mask"), wide_fill_mask.graphs
    single = run(graphs.served, feeds)
    some = frozenset(name for name in ready.weights if ".layer." in name)
    distances = [
        float(np.abs(run(apply(ready, graphs, kept).served, feeds) - single).mean())
        for kept in (frozenset(ready.weights), some, NOTHING)
    ]
    assert distances == sorted(distances)
    assert distances[0] < distances[2]


def rows_of(exported: Any, count: int) -> list[list[int]]:
    """Texts of 3 to 24 random tokens, with a mask or two for fill-mask."""
    random = np.random.default_rng(0)
    rows = []
    for index in range(count):
        inside = random.integers(10, 7000, size=random.integers(1, 23))
        if exported.task == "fill-mask":
            inside[: 1 + index % 2] = exported.tokenizer.mask_token_id
        rows.append([0, *inside.tolist(), 2])
    return rows


@pytest.mark.parametrize(("name", "kind"), GRAPHS)
def test_answer_does_not_depend_on_the_batch_or_its_padding(
    request: pytest.FixtureRequest,
    graphs_of: Made,
    open_graph: Callable[..., Any],
    pad: Callable[..., Feeds],
    name: str,
    kind: str,
) -> None:
    exported = request.getfixturevalue(name)
    model = getattr(graphs_of(name), kind)
    session = open_graph(model)

    def answers(rows: list[list[int]], padding: int = 0) -> list[NDArray[Any]]:
        outputs = session.run(None, pad(rows, padding))
        if kind == "served":
            counts = [row.count(exported.tokenizer.mask_token_id) for row in rows]
            return np.split(outputs[0], np.cumsum(counts)[:-1])
        if exported.task == "text-classification":
            return list(outputs[0])
        return [np.stack([one[i, : len(row)] for one in outputs]) for i, row in enumerate(rows)]

    rows = rows_of(exported, 24)
    alone = [answers([row])[0] for row in rows]
    assert np.ptp(np.concatenate([one.ravel() for one in alone])) > 0.1  # there is an answer
    for padding in range(1, 41):
        index = padding % len(rows)
        (found,) = answers([rows[index]], padding)
        np.testing.assert_allclose(found, alone[index], rtol=0, atol=TOLERANCE)
    for size in (2, 3, 5, 8, len(rows)):
        for start in range(0, len(rows), size):
            together = answers(rows[start : start + size], size % 3)
            for one, wanted in zip(together, alone[start : start + size], strict=True):
                np.testing.assert_allclose(one, wanted, rtol=0, atol=TOLERANCE)
    for one, wanted in zip(answers(rows[::-1]), alone[::-1], strict=True):
        np.testing.assert_allclose(one, wanted, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(
    ("hidden", "intermediate", "message"),
    [
        (40, 64, r"encoder\.\S+ is 40 wide: INT4 needs a multiple of 16; leave out the int4"),
        (48, 64, r"word_embeddings is 48 wide: INT4 needs a multiple of 32; leave out the int4"),
        (64, 72, r"encoder\.\S+output\.weight is 72 wide: INT4 needs a multiple of 16"),
    ],
)
def test_width_that_no_block_divides_is_refused(
    make_checkpoint: Callable[..., Path],
    export: Callable[[Path], Any],
    calibration: Callable[..., Any],
    hidden: int,
    intermediate: int,
    message: str,
) -> None:
    shape = {"hidden_size": hidden, "intermediate_size": intermediate, "num_hidden_layers": 1}
    exported = export(make_checkpoint("text-classification", **shape))
    with pytest.raises(QuantizationError, match=message):
        int4.prepare(exported.graphs.standard, calibration(exported, 2), Options())


def test_blocks_are_the_largest_that_divide(
    make_checkpoint: Callable[..., Path],
    export: Callable[[Path], Any],
    calibration: Callable[..., Any],
    answers: Answers,
) -> None:
    """Of 16 where the inner dimension is an odd multiple of 16; an even number in the lookup."""
    shape = {"hidden_size": 96, "intermediate_size": 144, "num_hidden_layers": 2}
    exported = export(make_checkpoint("fill-mask", **shape))
    single = exported.graphs.standard
    ready = int4.prepare(single, calibration(exported, TEXTS), Options())
    assert "of 16 or 32 in the encoder, of 16 in the tied word embedding" in ready.scheme
    model = recipe.apply(ready, single, "one")
    for name, node in in_blocks(model).items():
        fields = attributes(node)
        if fields["bits"] == 4 and name != WORDS:
            assert fields["block_size"] == (16 if fields["K"] == 144 else 32)
    assert held(model)[f"{WORDS}_scales"].shape[1] == 6
    found, wanted = answers(exported, model), answers(exported, single)
    assert cosine(found, wanted) > int4.RECIPE.lowest_cosine


@pytest.mark.parametrize("name", ["wide_fill_mask", "wide_classifier"])
def test_without_texts_nothing_is_known(request: pytest.FixtureRequest, name: str) -> None:
    model = request.getfixturevalue(name).graphs.standard
    with pytest.raises(QuantizationError, match=r"texts say nothing of .*: there are none"):
        int4.prepare(model, [], Options())


def test_values_that_are_not_finite_are_refused(
    wide_classifier: Any, calibration: Callable[..., Any]
) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(wide_classifier.graphs.standard)
    (tensor,) = (one for one in model.graph.initializer if one.name == POSITIONS)
    values = numpy_helper.to_array(tensor) * np.float32("nan")
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    with pytest.raises(QuantizationError, match="values are not finite; give other texts"):
        int4.prepare(model, calibration(wide_classifier, 2), Options())


def weight_bytes(hidden: int, inner: int, layers: int, words: int, positions: int) -> float:
    """The bytes of a fill-mask model's weights, by the recipe's own words."""
    four = 1 / 2  # a byte holds two codes
    block = 4 + 1 / 2  # a scale, and half a byte of a zero point
    encoder = layers * (4 * hidden * hidden + 2 * hidden * inner) * (four + block / 32)
    of_words = next(size for size in (128, 64, 32, 16) if hidden % (2 * size) == 0)
    embedding = words * hidden * (four + block / of_words)
    head = hidden * hidden * (1 + 4 / 64)
    of_positions = next(size for size in (128, 64, 32, 16) if hidden % size == 0)
    table = positions * hidden * (1 + 4 / of_positions)
    norms = 2 * hidden * (2 * layers + 2)
    biases = layers * (5 * hidden + inner) + hidden + words
    return encoder + embedding + head + table + 4 * (norms + biases)


def test_real_shape_takes_at_most_50_megabytes(
    make_checkpoint: Callable[..., Path],
    export: Callable[[Path], Any],
    calibration: Callable[..., Any],
    tmp_path: Path,
) -> None:
    """Computed from the widths; the computation is tried on two small ones."""
    for hidden, inner, layers in ((256, 320, 2), (384, 480, 3)):
        shape = {"hidden_size": hidden, "intermediate_size": inner, "num_hidden_layers": layers}
        exported = export(make_checkpoint("fill-mask", **shape))
        graphs = exported.graphs
        ready = int4.prepare(graphs.standard, calibration(exported, 1), Options())
        onnx_file.write(recipe.apply(ready, graphs.standard, "one"), tmp_path / "g.onnx")
        size = (tmp_path / "g.onnx").stat().st_size
        computed = weight_bytes(hidden, inner, layers, len(exported.tokenizer), 66)
        # What is not weights: nodes, names and padding.
        assert 0 < size - computed < 150_000

    real = weight_bytes(768, 3072, 6, 50265, 514)
    # Twice as many nodes, and those of the served graph.
    assert 45e6 < real + 450_000 <= 50e6
