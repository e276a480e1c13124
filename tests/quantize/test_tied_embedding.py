"""The embedding in blocks of 8 or 4 bits: the codes, the two views of them, and what is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import hypothesis
import numpy as np
import onnx
import pytest
from hypothesis import strategies
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from distilroberta.quantize import onnx_file
from distilroberta.quantize.errors import QuantizationError
from distilroberta.quantize.nbits import Blocks
from distilroberta.quantize.tied_embedding import (
    block_size_for,
    quantize_blocks,
    quantize_embedding,
)

Run = Callable[[Any, dict[str, NDArray[Any]]], Any]
Table = NDArray[np.float32]
Views = Literal["one", "two"]

tables = arrays.arrays(
    np.float32,
    strategies.tuples(strategies.integers(1, 5), strategies.sampled_from([16, 32, 48])),
    elements=strategies.floats(-1e3, 1e3, width=32, allow_subnormal=False) | strategies.just(0.0),
)


def quantized(model: onnx.ModelProto, views: Views) -> onnx.ModelProto:
    copied = onnx.ModelProto.FromString(model.SerializeToString())
    quantize_embedding(copied, views)
    return copied


def kinds(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


def embedding_of(model: onnx.ModelProto) -> Table:
    (found,) = (t for t in model.graph.initializer if t.name.endswith("word_embeddings"))
    return numpy_helper.to_array(found)


@hypothesis.settings(max_examples=150, deadline=None, derandomize=True)
@hypothesis.given(table=tables)
def test_value_is_at_most_half_a_scale_of_its_block_away(table: Table) -> None:
    codes, scales = quantize_blocks(table, 16)
    assert (codes.dtype, scales.dtype) == (np.uint8, np.float32)
    assert codes.shape == (len(table), table.shape[1] // 16, 16)
    assert scales.shape == codes.shape[:2]
    values = (codes.astype(np.float64) - 128) * scales[:, :, None]
    error = np.abs(values.reshape(table.shape) - table)
    limit = np.repeat(scales.astype(np.float64), 16, axis=1)
    assert (error <= 0.5001 * limit).all()


@hypothesis.settings(max_examples=150, deadline=None, derandomize=True)
@hypothesis.given(table=tables)
def test_codes_are_symmetric_around_128(table: Table) -> None:
    codes, _ = quantize_blocks(table, 16)
    opposite, _ = quantize_blocks(-table, 16)
    assert codes.min() >= 1
    assert np.array_equal(codes.astype(int) + opposite, np.full(codes.shape, 256))
    assert (codes.reshape(table.shape)[table == 0] == 128).all()


def test_block_has_a_scale_of_its_own() -> None:
    table = np.zeros((1, 48), np.float32)
    table[0, 16], table[0, 47] = -254, 63.5
    codes, scales = quantize_blocks(table, 16)
    assert scales.tolist() == [[0, 2, 0.5]]
    assert (codes[0, 1, 0], codes[0, 2, 15], codes[0, 0, 0]) == (1, 255, 128)


@pytest.mark.parametrize(
    ("hidden", "block"),
    [(768, 128), (1024, 128), (384, 128), (192, 64), (64, 64), (96, 32), (48, 16), (16, 16)],
)
def test_block_is_the_largest_that_divides_a_row(hidden: int, block: int) -> None:
    assert block_size_for(hidden, "weight") == block


@pytest.mark.parametrize("hidden", [1, 8, 36, 100, 312])
def test_width_that_no_block_divides_is_refused(hidden: int) -> None:
    with pytest.raises(
        QuantizationError,
        match=rf"^table has rows of {hidden}, .* of 16; leave out .* int8 and int4$",
    ):
        block_size_for(hidden, "table")


@pytest.mark.parametrize("graph", ["standard", "served"])
def test_both_views_answer_bit_by_bit_the_same(
    request: pytest.FixtureRequest, feeds: dict[str, Any], run: Run, graph: str
) -> None:
    model = request.getfixturevalue(graph)
    one, two = (run(quantized(model, views), feeds) for views in ("one", "two"))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, run(model, feeds))


def test_both_views_hold_the_same_bytes(standard: onnx.ModelProto) -> None:
    two = {t.name: t for t in quantized(standard, "two").graph.initializer}
    (flat,) = (name for name in two if name.endswith("word_embeddings_quantized"))
    (blocks,) = (name for name in two if name.endswith("word_embeddings_blocks"))
    assert two[flat].raw_data == two[blocks].raw_data
    assert list(two[flat].dims) == list(embedding_of(standard).shape)
    assert list(two[blocks].dims) == [two[flat].dims[0], 1, 64]


def test_lookup_gives_the_rows_that_the_codes_stand_for(
    standard: onnx.ModelProto, feeds: dict[str, Any], run: Run
) -> None:
    model = quantized(standard, "one")
    (lookup,) = (n for n in model.graph.node if n.op_type == "GatherBlockQuantized")
    del model.graph.output[:]
    model.graph.output.append(helper.make_empty_tensor_value_info(lookup.output[0]))
    table = embedding_of(standard)
    codes, scales = quantize_blocks(table, 64)
    values = ((codes.astype(np.float32) - 128) * scales[:, :, None]).reshape(table.shape)
    assert np.array_equal(run(model, feeds), values[feeds["input_ids"]])


def four_bits(model: onnx.ModelProto) -> Blocks:
    """Random codes, scales and zero points for the embedding of a graph."""
    tokens, hidden = embedding_of(model).shape
    random = np.random.default_rng(0)
    return Blocks(
        random.integers(0, 16, size=(tokens, hidden // 16, 16), dtype=np.uint8),
        random.uniform(0.01, 0.03, size=(tokens, hidden // 16)).astype(np.float32),
        random.integers(0, 16, size=(tokens, hidden // 16), dtype=np.uint8),
        4,
    )


@pytest.mark.parametrize("views", ["one", "two"])
def test_codes_of_4_bits_are_looked_up_and_multiplied(
    standard: onnx.ModelProto, feeds: dict[str, Any], run: Run, views: Views
) -> None:
    """As the values they stand for, which both operators read from the same bytes."""
    blocks = four_bits(standard)
    model = onnx.ModelProto.FromString(standard.SerializeToString())
    quantize_embedding(model, views, blocks)
    onnx.checker.check_model(model)
    assert len([t for t in model.graph.initializer if t.name.endswith("embeddings_scales")]) == 1
    (lookup,) = (n for n in model.graph.node if n.op_type == "GatherBlockQuantized")
    (product,) = (n for n in model.graph.node if n.op_type == "MatMulNBits")
    rows, hidden, logits = lookup.output[0], product.input[0], product.output[0]
    found = {}
    for name in (rows, hidden, logits):
        del model.graph.output[:]
        model.graph.output.append(helper.make_empty_tensor_value_info(name))
        found[name] = run(model, feeds)
    table = blocks.values()
    assert np.array_equal(found[rows], table[feeds["input_ids"]])
    # Half a step of 8 bits for each value, and the order of the sum.
    values = found[hidden].reshape(-1, table.shape[1])
    steps = np.abs(values.reshape(len(values), -1, 16)).max(axis=2) / 127
    limit = (np.repeat(steps / 2, 16, axis=1) + 1e-6 * np.abs(values)) @ np.abs(table).T
    assert (np.abs(found[logits].reshape(len(values), -1) - values @ table.T) <= limit).all()


def test_both_views_of_4_bits_hold_the_same_bytes(
    served: onnx.ModelProto, feeds: dict[str, Any], run: Run
) -> None:
    blocks = four_bits(served)
    found = []
    for views in ("one", "two"):
        model = onnx.ModelProto.FromString(served.SerializeToString())
        quantize_embedding(model, views, blocks)
        found.append(model)
    held = {t.name: t for t in found[1].graph.initializer}
    (flat,) = (name for name in held if name.endswith("word_embeddings_quantized"))
    (other,) = (name for name in held if name.endswith("word_embeddings_blocks"))
    assert held[flat].raw_data == held[other].raw_data
    assert list(held[flat].dims) == [len(blocks.codes), 32]
    assert list(held[other].dims) == [len(blocks.codes), 4, 8]
    assert np.array_equal(*(run(model, feeds) for model in found))


def test_embedding_is_stored_once_in_a_single_file(
    standard: onnx.ModelProto, tmp_path: Path
) -> None:
    onnx_file.write(quantized(standard, "one"), tmp_path / "g.onnx")
    content = (tmp_path / "g.onnx").read_bytes()
    codes, _ = quantize_blocks(embedding_of(standard), 64)
    for row in (0, 100, len(codes) - 1):
        assert content.count(codes[row].tobytes()) == 1
    assert embedding_of(standard)[100].tobytes() not in content


def test_embedding_is_read_by_both_views_of_a_served_graph(
    standard: onnx.ModelProto,
    served: onnx.ModelProto,
    feeds: dict[str, Any],
    run: Run,
    tmp_path: Path,
) -> None:
    ranges = onnx_file.write(quantized(standard, "one"), tmp_path / "standard.onnx")
    two = quantized(served, "two")
    wanted = run(two, feeds)
    onnx_file.read_from(two, ranges, "standard.onnx")
    places = [
        {field.key: field.value for field in tensor.external_data}
        for tensor in two.graph.initializer
        if tensor.name.endswith(("_embeddings_quantized", "_embeddings_blocks"))
    ]
    assert len(places) == 2
    assert places[0] == places[1]
    onnx_file.write(two, tmp_path / "served.onnx")
    assert np.array_equal(run(tmp_path / "served.onnx", feeds), wanted)


def test_classification_has_a_lookup_and_no_projection(classifier_graph: onnx.ModelProto) -> None:
    before, after = kinds(classifier_graph), kinds(quantized(classifier_graph, "one"))
    assert (before["GatherBlockQuantized"], after["GatherBlockQuantized"]) == (0, 1)
    assert after["MatMulNBits"] == after["Reshape"] - before["Reshape"] == 0
    assert after["Gather"] == before["Gather"] - 1


def test_graph_of_another_width_is_refused(make_checkpoint: Callable[..., Path]) -> None:
    from distilroberta.export import onnx_export
    from distilroberta.export.checkpoint import load
    from distilroberta.export.source import resolve

    folder = make_checkpoint("text-classification", hidden_size=40, num_hidden_layers=1)
    graph, _ = onnx_export.export(load(resolve(str(folder)), "text-classification"))
    with pytest.raises(QuantizationError, match=r"word_embeddings has rows of 40, "):
        quantized(graph.model, "one")


def test_graph_without_a_lookup_is_refused(standard: onnx.ModelProto) -> None:
    model = onnx.ModelProto.FromString(standard.SerializeToString())
    for node in model.graph.node:
        node.input[:] = ["attention_mask" if name == "input_ids" else name for name in node.input]
    with pytest.raises(QuantizationError, match="has no Gather of word embeddings by input_ids"):
        quantize_embedding(model, "one")


def test_lookup_in_a_computed_table_is_refused(standard: onnx.ModelProto) -> None:
    model = onnx.ModelProto.FromString(standard.SerializeToString())
    (name,) = (t.name for t in model.graph.initializer if t.name.endswith("word_embeddings"))
    for node in model.graph.node:
        if node.op_type == "Gather" and "input_ids" in node.input:
            node.input[0] = "computed"
    model.graph.node.insert(0, helper.make_node("Identity", [name], ["computed"]))
    with pytest.raises(QuantizationError, match="computed, which input_ids index, is not a weight"):
        quantize_embedding(model, "one")
