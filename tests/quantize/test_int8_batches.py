"""An INT8 answer is that of its text, whatever else is in the batch."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from distilroberta.quantize import int8_static, recipe
from distilroberta.quantize.options import Options
from distilroberta.quantize.variants import Graphs

Row = list[int]
Open = Callable[[onnx.ModelProto], Any]
Pad = Callable[..., dict[str, NDArray[np.int64]]]
Quantize = Callable[..., Any]
Answers = Callable[..., list[NDArray[np.float32]]]

TOLERANCE = 1e-5
TEXTS = 24
LONGEST_PADDING = 40

SMALL = ["wide_fill_mask", "wide_classifier", "wide_tagger", "wide_answerer"]
TRAINED = ["mlm", "sst2", "chunk"]


def some_rows(exported: Any, count: int, seed: int = 0) -> list[Row]:
    """Texts of 3 to 24 random tokens; of other numbers of masks, from 1 to 5, for fill-mask."""
    random = np.random.default_rng(seed)
    mask = exported.tokenizer.mask_token_id
    rows = []
    for index in range(count):
        inside = random.integers(10, 7000, size=random.integers(1, 23))
        if exported.task == "fill-mask":
            inside[random.integers(0, len(inside), size=1 + index % 5)] = mask
        rows.append([0, *inside.tolist(), 2])
    return rows


def make_answers(exported: Any, model: onnx.ModelProto, open_graph: Open, pad: Pad) -> Answers:
    """Return what runs rows in one batch: `answers(rows, padding)`, the logits of each row."""
    session = open_graph(model)
    masks_alone = model.graph.output[0].type.tensor_type.shape.dim[0].dim_param == "masks"
    mask = exported.tokenizer.mask_token_id

    def answers(rows: Sequence[Row], padding: int = 0) -> list[NDArray[np.float32]]:
        outputs = session.run(None, pad(rows, padding))
        if masks_alone:
            counts = [row.count(mask) for row in rows]
            return np.split(outputs[0], np.cumsum(counts)[:-1])
        if exported.task == "text-classification":
            return list(outputs[0])
        return [
            np.stack([output[index, : len(row)] for output in outputs])
            for index, row in enumerate(rows)
        ]

    return answers


def check(answers: Answers, rows: list[Row]) -> None:
    alone = [answers([row])[0] for row in rows]
    assert np.ptp(np.concatenate([one.ravel() for one in alone])) > 0.1  # there is an answer

    def close(found: NDArray[np.float32], index: int) -> None:
        np.testing.assert_allclose(found, alone[index], rtol=0, atol=TOLERANCE)

    for padding in range(1, LONGEST_PADDING + 1):
        index = padding % len(rows)
        close(answers([rows[index]], padding)[0], index)
    for size in (2, 3, 5, 8, len(rows)):
        for start in range(0, len(rows), size):
            places = range(start, min(start + size, len(rows)))
            found = answers([rows[place] for place in places], size % 3)
            for one, place in zip(found, places, strict=True):
                close(one, place)
    # In another place of the same batch.
    for one, place in zip(answers(rows[::-1]), range(len(rows))[::-1], strict=True):
        close(one, place)


@pytest.fixture(scope="module")
def other_fill_mask(make_checkpoint: Callable[..., Path], export: Callable[[Path], Any]) -> Any:
    """A fill-mask model whose vocabulary is multiplied in blocks of 64.

    Blocks of 128 are added up in another order for the last row of an odd number of rows.
    """
    shape = {"hidden_size": 192, "intermediate_size": 256, "num_hidden_layers": 2}
    return export(make_checkpoint("fill-mask", **shape))


@pytest.fixture(scope="module")
def static_graphs(calibration: Callable[..., Any]) -> Callable[[Any], Graphs]:
    """Make the graphs of `int8-static` of an export."""

    def quantize(exported: Any) -> Graphs:
        standard, served = exported.graphs.standard, exported.graphs.served
        prepared = int8_static.prepare(standard, calibration(exported, 12), Options())
        return Graphs(
            recipe.apply(prepared, standard, "one"),
            recipe.apply(prepared, served, "two") if served is not None else None,
        )

    return quantize


@pytest.mark.parametrize("export_name", SMALL)
@pytest.mark.parametrize("target", ["portable", "avx2"])
def test_answer_of_a_small_model_does_not_depend_on_the_batch(
    request: pytest.FixtureRequest,
    int8_graphs: Quantize,
    open_graph: Open,
    pad: Pad,
    export_name: str,
    target: str,
) -> None:
    exported = request.getfixturevalue(export_name)
    graphs = int8_graphs(exported, target)
    for model in (graphs.served, graphs.standard):
        if model is not None:
            answers = make_answers(exported, model, open_graph, pad)
            check(answers, some_rows(exported, TEXTS))


@pytest.mark.parametrize("export_name", SMALL)
def test_static_answer_of_a_small_model_does_not_depend_on_the_batch(
    request: pytest.FixtureRequest,
    static_graphs: Callable[[Any], Graphs],
    open_graph: Open,
    pad: Pad,
    export_name: str,
) -> None:
    exported = request.getfixturevalue(export_name)
    graphs = static_graphs(exported)
    for model in (graphs.served, graphs.standard):
        if model is not None:
            answers = make_answers(exported, model, open_graph, pad)
            check(answers, some_rows(exported, TEXTS))


def test_number_of_masks_of_batch_mates_does_not_matter(
    wide_fill_mask: Any, int8_graphs: Quantize, open_graph: Open, pad: Pad
) -> None:
    mask = wide_fill_mask.tokenizer.mask_token_id
    answers = make_answers(wide_fill_mask, int8_graphs(wide_fill_mask).served, open_graph, pad)
    row = [0, 50, 60, mask, 70, 80, 2]
    (alone,) = answers([row])
    for masks in range(1, 21):
        for mates in (1, 4):
            mate = [0, *[mask] * masks, 90, 2]
            found = answers([*[mate] * mates, row])[-1]
            np.testing.assert_allclose(found, alone, rtol=0, atol=TOLERANCE)


def test_token_whose_embedding_is_zeros_has_the_logit_of_its_bias(
    wide_fill_mask: Any, int8_graphs: Quantize, open_graph: Open, pad: Pad
) -> None:
    """As that of `<pad>` is in a checkpoint that was not trained on it."""
    graphs = wide_fill_mask.graphs
    stored = {one.name: numpy_helper.to_array(one) for one in graphs.standard.graph.initializer}
    assert not stored["encoder.embeddings.word_embeddings"][1].any()
    rows = some_rows(wide_fill_mask, 5)
    for model in (int8_graphs(wide_fill_mask).served, int8_graphs(wide_fill_mask).standard):
        answers = make_answers(wide_fill_mask, model, open_graph, pad)
        for found in answers(rows):
            assert (found[..., 1] == stored["lm_head.bias"][1]).all()


@pytest.mark.reality
@pytest.mark.parametrize(
    ("variant", "name"),
    [*(("int8", name) for name in TRAINED), ("int8-static", "sst2"), ("int8-static", "chunk")],
)
def test_answer_of_a_trained_model_does_not_depend_on_the_batch(
    reality: Path,
    trained: Callable[[str], Any],
    int8_graphs: Quantize,
    static_graphs: Callable[[Any], Graphs],
    open_graph: Open,
    pad: Pad,
    variant: str,
    name: str,
) -> None:
    exported = trained(name)
    lines = (reality / "data" / "masked.tsv").read_text("utf-8").splitlines()[:TEXTS]
    texts = [line.partition("\t")[0] for line in lines]
    rows = exported.tokenizer(texts, truncation=True, max_length=40)["input_ids"]
    graphs = int8_graphs(exported, texts=None) if variant == "int8" else static_graphs(exported)
    if exported.task == "fill-mask":
        mask = exported.tokenizer.mask_token_id
        for index, row in enumerate(rows):
            row[1 : 1 + index % 5] = [mask] * len(row[1 : 1 + index % 5])
        rows = [row for row in rows if mask in row]  # truncation may have cut it off
    check(make_answers(exported, graphs.served or graphs.standard, open_graph, pad), rows)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="kernels of x86")
@pytest.mark.parametrize("export_name", ["other_fill_mask", *SMALL[1:]])
def test_every_bit_of_an_answer_is_that_of_its_text(
    request: pytest.FixtureRequest,
    int8_graphs: Quantize,
    open_graph: Open,
    pad: Pad,
    export_name: str,
) -> None:
    """A last bit is no step of what is quantized after it, but sooner or later makes one.

    Other kernels than those of x86 may add up a row of another length in another order.
    """
    exported = request.getfixturevalue(export_name)
    graphs = int8_graphs(exported)
    answers = make_answers(exported, graphs.served or graphs.standard, open_graph, pad)
    random = np.random.default_rng(0)
    mask = exported.tokenizer.mask_token_id
    for length in range(1, 31):
        row = [0, *random.integers(10, 7000, size=length).tolist(), 2]
        mate = [0, mask, mask, 20, mask, 2] if exported.task == "fill-mask" else [0, 30, 2]
        row[1] = mask if exported.task == "fill-mask" else row[1]
        (alone,) = answers([row])
        for rows, padding in (([row], 1), ([row], 2), ([row], 3), ([row, mate], 0)):
            assert np.array_equal(answers(rows, padding)[0], alone), length
