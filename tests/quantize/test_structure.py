"""What an INT8 graph is made of, its size, and how it answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from distilroberta.quantize import int8, onnx_file, recipe
from distilroberta.quantize.options import Options
from distilroberta.quantize.products import FEWEST_COLUMNS

Run = Callable[[Any, dict[str, NDArray[Any]]], Any]
Quantize = Callable[..., Any]

# The exports of every task, and the graphs they have.
EXPORTS = ["wide_fill_mask", "wide_classifier", "wide_tagger", "wide_answerer"]
GRAPHS = [("wide_fill_mask", "served"), *((name, "standard") for name in EXPORTS)]


@pytest.fixture(params=GRAPHS, ids=lambda pair: "-".join(pair))
def pair(
    request: pytest.FixtureRequest, int8_graphs: Quantize
) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """An FP32 graph and the INT8 one made of it. Read only."""
    export, kind = request.param
    exported = request.getfixturevalue(export)
    return getattr(exported.graphs, kind), getattr(int8_graphs(exported), kind)


def kinds(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


def attributes(node: onnx.NodeProto) -> dict[str, int]:
    return {attribute.name: attribute.i for attribute in node.attribute}


def large(model: onnx.ModelProto) -> set[bytes]:
    return {tensor.raw_data for tensor in model.graph.initializer if len(tensor.raw_data) >= 1024}


def test_graph_is_valid(pair: tuple[onnx.ModelProto, onnx.ModelProto]) -> None:
    _, model = pair
    onnx.checker.check_model(model)
    found = [(one.domain, one.version) for one in model.opset_import]
    assert sorted(found) == [("", 23), ("com.microsoft", 1)]


def test_signature_stays(pair: tuple[onnx.ModelProto, onnx.ModelProto]) -> None:
    single, model = pair
    assert list(model.graph.input) == list(single.graph.input)
    assert list(model.graph.output) == list(single.graph.output)


@pytest.mark.parametrize("graph", ["standard", "served"])
def test_fill_mask_has_one_lookup_and_a_projection_of_8_bits(
    wide_fill_mask: Any, int8_graphs: Quantize, graph: str
) -> None:
    model = getattr(int8_graphs(wide_fill_mask), graph)
    found = kinds(model)
    assert found["GatherBlockQuantized"] == 1
    assert found["MatMulNBits"] == 2  # the head's dense product, and the vocabulary
    assert found["Gemm"] == found["DequantizeLinear"] == 0
    products = [attributes(node) for node in model.graph.node if node.op_type == "MatMulNBits"]
    vocabulary = len(wide_fill_mask.tokenizer)
    assert [one["N"] for one in products] == [128, vocabulary]
    for one in products:
        assert (one["bits"], one["accuracy_level"], one["K"]) == (8, 4, 128)


def test_classification_has_a_lookup_and_no_vocabulary(
    wide_classifier: Any, int8_graphs: Quantize
) -> None:
    found = kinds(int8_graphs(wide_classifier).standard)
    assert found["GatherBlockQuantized"] == 1
    assert found["MatMulNBits"] == 1  # the head's dense product
    assert found["DequantizeLinear"] == 0


def test_no_large_product_in_single_precision_is_left(
    pair: tuple[onnx.ModelProto, onnx.ModelProto],
) -> None:
    """Positions are read by row, and a classifier's last product is small."""
    left = {
        tensor.name.rpartition(".")[0]
        for tensor in pair[1].graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT
        and len(tensor.dims) == 2
        and tensor.dims[1] >= FEWEST_COLUMNS
    }
    assert left == {"encoder.embeddings"}


def test_original_stays_as_it_was(wide_fill_mask: Any, calibration: Any) -> None:
    models = (wide_fill_mask.graphs.standard, wide_fill_mask.graphs.served)
    before = [model.SerializeToString(deterministic=True) for model in models]
    prepared = int8.prepare(models[0], calibration(wide_fill_mask, 2), Options())
    recipe.apply(prepared, models[0], "one")
    recipe.apply(prepared, models[1], "two")
    assert [model.SerializeToString(deterministic=True) for model in models] == before


def test_same_bytes_every_time(wide_fill_mask: Any, calibration: Any) -> None:
    graphs = wide_fill_mask.graphs
    for model, views in ((graphs.standard, "one"), (graphs.served, "two")):
        first, second = (
            recipe.apply(
                int8.prepare(graphs.standard, calibration(wide_fill_mask, 4), Options()),
                model,
                views,
            ).SerializeToString()
            for _ in range(2)
        )
        assert first == second


def test_standard_and_served_graph_hold_the_same_large_weights(
    wide_fill_mask: Any, int8_graphs: Quantize
) -> None:
    graphs = int8_graphs(wide_fill_mask)
    assert large(graphs.standard) == large(graphs.served)


def test_served_graph_reads_every_large_weight_from_the_other(
    wide_fill_mask: Any, int8_graphs: Quantize, feeds: Any, run: Run, tmp_path: Path
) -> None:
    graphs = int8_graphs(wide_fill_mask)
    ranges = onnx_file.write(graphs.standard, tmp_path / "standard.onnx")
    reading = onnx.ModelProto()
    reading.CopyFrom(graphs.served)
    onnx_file.read_from(reading, ranges, "standard.onnx")
    assert not large(reading)
    onnx_file.write(reading, tmp_path / "served.onnx")
    assert np.array_equal(run(tmp_path / "served.onnx", feeds), run(graphs.served, feeds))


def test_both_views_answer_bit_by_bit_the_same(
    wide_fill_mask: Any, calibration: Any, feeds: Any, run: Run
) -> None:
    graphs = wide_fill_mask.graphs
    prepared = int8.prepare(graphs.standard, calibration(wide_fill_mask, 2), Options())
    for model in (graphs.standard, graphs.served):
        one, two = (run(recipe.apply(prepared, model, views), feeds) for views in ("one", "two"))
        assert np.array_equal(one, two)


def test_answers_point_where_the_fp32_ones_do(
    pair: tuple[onnx.ModelProto, onnx.ModelProto], many: dict[str, Any], run: Run
) -> None:
    single, model = pair
    wanted, found = run(single, many), run(model, many)
    assert found.dtype == np.float32
    assert found.shape == wanted.shape
    cosine = (found * wanted).sum() / (np.linalg.norm(found) * np.linalg.norm(wanted))
    assert cosine > 0.98
    assert not np.allclose(found, wanted, atol=1e-4)


def test_served_graph_without_a_mask_gives_no_rows(
    wide_fill_mask: Any, int8_graphs: Quantize, feeds: dict[str, Any], run: Run
) -> None:
    mask = wide_fill_mask.tokenizer.mask_token_id
    ids = np.where(feeds["input_ids"] == mask, 20, feeds["input_ids"])
    found = run(int8_graphs(wide_fill_mask).served, {**feeds, "input_ids": ids})
    assert found.shape == (0, len(wide_fill_mask.tokenizer))
