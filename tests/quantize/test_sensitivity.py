"""The sensitivity of products: what is measured, what is kept, and how it is shown."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper
from rich.console import Console
from scipy.special import rel_entr, softmax

from distilroberta.export import onnx_export
from distilroberta.export.checkpoint import load, task_of
from distilroberta.export.source import resolve
from distilroberta.quantize import int8, recipe, sensitivity
from distilroberta.quantize.errors import QuantizationError
from distilroberta.quantize.recipe import Feed, Kept, Options, Prepared, Views
from distilroberta.quantize.sensitivity import Choice, Effect, Point, Sensitivity
from distilroberta.quantize.variants import Graphs

Run = Callable[[onnx.ModelProto, Feed], NDArray[np.float32]]

# The smallest width whose products are all wide enough to be quantized.
WIDE = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2}
WORST = "encoder.layer.0.block.output.weight"
TEXTS = 4


def exported(folder: Path) -> Graphs:
    checkpoint = resolve(str(folder))
    standard, served = onnx_export.export(load(checkpoint, task_of(checkpoint)))
    return Graphs(standard.model, served.model if served else None)


def texts(mask: int | None, count: int = TEXTS) -> list[Feed]:
    generator = np.random.default_rng(0)
    feeds = []
    for length in range(9, 9 + count):
        ids = generator.integers(10, 250, size=(1, length))
        ids[0, 0], ids[0, -1] = 0, 2
        if mask is not None:
            ids[0, 2::3] = mask
        feeds.append({"input_ids": ids, "attention_mask": np.ones_like(ids)})
    return feeds


def change(graphs: Graphs, name: str, edit: Callable[[NDArray[np.float32]], None]) -> None:
    for model in (graphs.standard, graphs.served):
        assert model is not None
        for tensor in model.graph.initializer:
            if tensor.name == name:
                values = numpy_helper.to_array(tensor).copy()
                edit(values)
                tensor.CopyFrom(numpy_helper.from_array(values, name))
                break
        else:
            pytest.fail(f"no weight {name}")


@pytest.fixture(scope="module")
def fill_mask(make_checkpoint: Callable[..., Path]) -> tuple[Graphs, list[Feed]]:
    """A model one of whose products answers much worse in 8 bits than the others. Read only."""
    folder = make_checkpoint("fill-mask", **WIDE)
    mask = load(resolve(str(folder)), "fill-mask").tokenizer.mask_token_id
    graphs = exported(folder)

    def close(bias: NDArray[np.float32]) -> None:
        bias[0] = -1e4  # what the activation makes 0

    def stretch(weight: NDArray[np.float32]) -> None:
        weight[0] = 30  # so it multiplies nothing, but takes all the codes of its column

    change(graphs, "encoder.layer.0.block.intermediate.bias", close)
    change(graphs, WORST, stretch)
    return graphs, texts(mask)


@pytest.fixture(scope="module")
def eight_bits(fill_mask: tuple[Graphs, list[Feed]]) -> Prepared:
    """The INT8 recipe for that model."""
    graphs, feeds = fill_mask
    return int8.prepare(graphs.standard, feeds, Options())


@pytest.fixture(scope="module")
def measured(fill_mask: tuple[Graphs, list[Feed]], eight_bits: Prepared) -> Sensitivity:
    """The sensitivity of that model."""
    return sensitivity.measure(eight_bits, *fill_mask)


@pytest.fixture(scope="module")
def choice(
    fill_mask: tuple[Graphs, list[Feed]], eight_bits: Prepared, measured: Sensitivity
) -> Choice:
    """What is kept of it, so that half of what the worst product adds is allowed."""
    bound = measured.baseline.kl + measured.worst()[0].kl / 2
    return sensitivity.keep(measured, eight_bits, *fill_mask, bound)


def divergence(run: Run, model: onnx.ModelProto, graph: onnx.ModelProto, feeds: list[Feed]) -> Any:
    """Return KL and the share of the same top answer, by scipy."""
    kl, same = [], []
    for feed in feeds:
        found, expected = run(model, feed), run(graph, feed)
        p, q = (softmax(logits.astype(np.float64), axis=1) for logits in (expected, found))
        kl += rel_entr(p, q).sum(axis=1).tolist()
        same += (found.argmax(axis=1) == expected.argmax(axis=1)).tolist()
    return np.mean(kl), np.mean(same)


def test_numbers_are_those_of_a_graph_with_one_product_quantized(
    fill_mask: tuple[Graphs, list[Feed]], eight_bits: Prepared, measured: Sensitivity, run: Run
) -> None:
    graphs, feeds = fill_mask
    served = graphs.served
    assert served is not None
    kept = frozenset(eight_bits.weights)
    none = recipe.apply(eight_bits, served, "two", kept)
    kl, same_top = divergence(run, none, served, feeds)
    assert kl > 0
    assert measured.baseline.kl == pytest.approx(kl, rel=1e-3)
    assert measured.baseline.same_top == same_top
    effects = {effect.weight: effect for effect in measured.effects}
    for weight in (WORST, "encoder.layer.0.attention.key.weight"):
        alone = recipe.apply(eight_bits, served, "two", kept - {weight})
        alone_kl, alone_top = divergence(run, alone, served, feeds)
        assert effects[weight].kl == pytest.approx(alone_kl - kl, rel=1e-2)
        assert effects[weight].same_top == pytest.approx(alone_top - same_top)


def test_every_product_is_measured_and_costs_what_the_file_grows_by(
    fill_mask: tuple[Graphs, list[Feed]], eight_bits: Prepared, measured: Sensitivity
) -> None:
    assert tuple(effect.weight for effect in measured.effects) == eight_bits.weights
    graphs, feeds = fill_mask
    mask = feeds[0]["input_ids"][0, 2]
    assert measured.texts == TEXTS
    assert measured.rows == sum(int((feed["input_ids"] == mask).sum()) for feed in feeds)
    sizes = {tensor.name: tensor.dims for tensor in graphs.standard.graph.initializer}
    for effect in measured.effects:
        # From 4 bytes a weight to 1, and what scales and nodes take.
        saved = 3 * int(np.prod(sizes[effect.weight]))
        assert saved * 0.9 < effect.bytes < saved


def test_worst_product_is_found_and_kept(measured: Sensitivity, choice: Choice) -> None:
    first, second = measured.worst()[:2]
    assert first.weight == WORST
    assert first.kl > 10 * second.kl
    assert choice.kept == {WORST}


def test_bound_holds_and_the_curve_says_why_not_fewer(
    fill_mask: tuple[Graphs, list[Feed]],
    eight_bits: Prepared,
    measured: Sensitivity,
    choice: Choice,
    run: Run,
) -> None:
    graphs, feeds = fill_mask
    assert graphs.served is not None
    mixed = recipe.apply(eight_bits, graphs.served, "two", choice.kept)
    kl, _ = divergence(run, mixed, graphs.served, feeds)
    assert kl <= choice.bound
    assert [point.kept for point in choice.curve] == [0, 1, len(measured.effects)]
    assert choice.curve[0].kl > choice.bound
    assert choice.chosen == choice.curve[1]
    assert choice.chosen.kl == pytest.approx(kl, rel=1e-3)
    assert choice.curve[-1] == measured.baseline


def test_bound_that_can_not_be_met_is_refused(
    fill_mask: tuple[Graphs, list[Feed]], eight_bits: Prepared, measured: Sensitivity
) -> None:
    found = f"{measured.baseline.kl:.3g}"
    with pytest.raises(QuantizationError, match=f"it is {found} with all 13 kept"):
        sensitivity.keep(measured, eight_bits, *fill_mask, measured.baseline.kl / 2)


NOISE = {
    "encoder.layer.0.attention.key.weight": 0.02,
    "encoder.layer.0.block.attention_output.weight": 0.3,
    "encoder.layer.0.block.intermediate.weight": 0.05,
    "encoder.layer.0.block.output.weight": 0.1,
}


def noisy(names: Iterable[str], noise: dict[str, float] = NOISE) -> Prepared:
    """A recipe that makes the products of some names worse by a known share."""

    def rewrite(model: onnx.ModelProto, views: Views, kept: Kept) -> None:
        for tensor in model.graph.initializer:
            if tensor.name in noise and tensor.name not in kept:
                values = numpy_helper.to_array(tensor)
                error = np.random.default_rng(1).normal(1, noise[tensor.name], values.shape)
                worse = (values * error).astype(np.float32)
                tensor.CopyFrom(numpy_helper.from_array(worse, tensor.name))

    return Prepared(rewrite, "noise", tuple(names))


@pytest.fixture(scope="module")
def classifier(make_checkpoint: Callable[..., Path]) -> tuple[Graphs, list[Feed]]:
    """A text classification model, and texts. Read only."""
    return exported(make_checkpoint("text-classification", num_labels=5, **WIDE)), texts(None)


def test_fewest_are_kept_for_every_bound(classifier: tuple[Graphs, list[Feed]]) -> None:
    prepared = noisy(NOISE)
    found = sensitivity.measure(prepared, *classifier)
    assert (found.baseline.kl, found.baseline.same_top) == (0, 1)
    order = [effect.weight for effect in found.worst()]
    assert set(order) == set(NOISE)
    curve = sensitivity.keep(found, prepared, *classifier, 0).curve
    assert [point.kept for point in curve] == [0, 1, 2, 3, 4]
    for bound in {point.kl for point in curve}:
        fewest = next(point for point in curve if point.kl <= bound)
        chosen = sensitivity.keep(found, prepared, *classifier, bound)
        assert chosen.kept == set(order[: fewest.kept])
        assert chosen.curve == (*curve[: min(fewest.kept, 3) + 1], curve[-1])


def test_choice_does_not_depend_on_the_order_of_the_products(
    classifier: tuple[Graphs, list[Feed]],
) -> None:
    # Two that change nothing are equally good, and go by name.
    names = [*NOISE, "b", "a"]
    ways = [names, names[::-1]]
    found = [sensitivity.measure(noisy(way), *classifier) for way in ways]
    assert found[0].worst() == found[1].worst()
    assert [effect.weight for effect in found[0].worst()[-2:]] == ["a", "b"]
    bound = found[0].worst()[1].kl
    kept = [
        sensitivity.keep(one, noisy(way), *classifier, bound).kept
        for one, way in zip(found, ways, strict=True)
    ]
    assert kept[0] == kept[1]
    assert 0 < len(kept[0]) < len(NOISE)


def test_texts_are_from_all_over_with_the_longest(
    classifier: tuple[Graphs, list[Feed]], monkeypatch: pytest.MonkeyPatch
) -> None:
    graphs, feeds = classifier
    monkeypatch.setattr(sensitivity, "TEXTS", 3)
    progress: list[tuple[int, int]] = []
    found = sensitivity.measure(
        noisy(NOISE), graphs, feeds, progress=lambda *two: progress.append(two)
    )
    assert (found.texts, found.rows) == (3, 3)
    assert progress == [(done, 5) for done in range(1, 6)]
    # The last of the four is the longest; of the others the first and the last.
    assert found == sensitivity.measure(noisy(NOISE), graphs, [feeds[0], *feeds[2:]])


@pytest.mark.parametrize(
    ("task", "rows"), [("token-classification", 9 + 10 + 11 + 12), ("question-answering", 2 * 4)]
)
def test_rows_are_tokens_or_starts_and_ends(
    make_checkpoint: Callable[..., Path], task: str, rows: int
) -> None:
    graphs = exported(make_checkpoint(task, **WIDE))
    found = sensitivity.measure(noisy(NOISE), graphs, texts(None))
    assert found.rows == rows
    assert all(effect.kl > 0 for effect in found.effects)


def test_nothing_to_compare_is_refused(
    fill_mask: tuple[Graphs, list[Feed]], classifier: tuple[Graphs, list[Feed]]
) -> None:
    with pytest.raises(QuantizationError, match="none with a mask"):
        sensitivity.measure(noisy(NOISE), fill_mask[0], texts(None))
    with pytest.raises(QuantizationError, match="no text"):
        sensitivity.measure(noisy(NOISE), classifier[0], [])
    with pytest.raises(QuantizationError, match="quantizes no products"):
        sensitivity.measure(noisy(()), *classifier)


def test_regression_is_refused(make_checkpoint: Callable[..., Path]) -> None:
    graphs = exported(make_checkpoint("text-classification", num_labels=1))
    with pytest.raises(QuantizationError, match="regression"):
        sensitivity.measure(noisy(NOISE), graphs, texts(None))


def test_hidden_states_are_refused(make_checkpoint: Callable[..., Path]) -> None:
    graphs = exported(make_checkpoint("feature-extraction", num_hidden_layers=1))
    with pytest.raises(QuantizationError, match=r"^hidden states are no distribution"):
        sensitivity.measure(noisy(NOISE), graphs, texts(None))


def test_logits_that_are_not_finite_name_the_product(
    classifier: tuple[Graphs, list[Feed]],
) -> None:
    bad = "encoder.layer.0.block.output.weight"
    with pytest.raises(QuantizationError, match=f"not finite with {bad} quantized"):
        sensitivity.measure(noisy(NOISE, NOISE | {bad: np.inf}), *classifier)


@pytest.fixture
def by_hand() -> tuple[Sensitivity, Choice]:
    """A sensitivity of three products of which one is kept."""
    names = (
        "encoder.layer.0.attention.key.weight",
        "encoder.last.block.output.weight",
        "lm_head.dense.weight",
    )
    effects = (
        Effect(names[0], 1e-3, -0.015, 1_500_000),
        Effect(names[1], 4e-3, 0.01, 2_250_000),
        Effect(names[2], -1e-5, 0.0, 440_000),
    )
    alone = Point(3, 1e-4, 0.99, 9_000_000)
    curve = (Point(0, 6e-3, 0.9, 4_810_000), Point(1, 1.5e-3, 0.95, 7_060_000), alone)
    found = Sensitivity(texts=8, rows=20, baseline=alone, effects=effects)
    return found, Choice(bound=2e-3, kept=frozenset(names[1:2]), curve=curve)


def printed(*arguments: Any) -> list[str]:
    text = io.StringIO()
    Console(file=text, width=200).print(sensitivity.table(*arguments))
    return text.getvalue().splitlines()


def test_table_shows_the_worst_first(by_hand: tuple[Sensitivity, Choice]) -> None:
    lines = printed(*by_hand)
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if "│" in line]
    assert rows == [
        ["encoder.last.block.output.weight", "+0.004", "+1.00", "2.25", "yes"],
        ["encoder.layer.0.attention.key.weight", "+0.001", "-1.50", "1.50", ""],
        ["lm_head.dense.weight", "-1e-05", "+0.00", "0.44", ""],
    ]
    assert "8 of the calibration texts, 20 rows" in lines[0]
    assert "none quantized: KL 0.0001 nats, same top 99.00%" in lines[0]
    end = " ".join(" ".join(lines[-2:]).split())
    assert "all quantized: KL 0.006, same top 90.00%" in end
    assert "the worst 1 kept: KL 0.0015 (bound 0.002), same top 95.00%, 2.25 MB more" in end


def test_table_without_a_choice_marks_none(by_hand: tuple[Sensitivity, Choice]) -> None:
    text = "\n".join(printed(by_hand[0]))
    assert "encoder.layer.0.attention.key.weight" in text
    assert "yes" not in text
    assert "bound" not in text
