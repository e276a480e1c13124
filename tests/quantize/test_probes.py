"""What is measured of a variant: on logits made by hand, and on graphs that are run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper
from scipy.spatial.distance import cosine
from scipy.special import rel_entr, softmax

from distilroberta.quantize.errors import AgreementError
from distilroberta.quantize.probes import TEXTS, Probes, compare, compare_hidden_states
from distilroberta.quantize.signature import tensor_specs
from distilroberta.runtime.execution.session import Session
from distilroberta.runtime.manifest import Agreement, Variant
from distilroberta.runtime.tasks.model_config import ModelConfig
from distilroberta.runtime.tasks.tokenizer import Tokenizer

Logits = NDArray[np.float64]


@pytest.fixture
def expected() -> list[Logits]:
    """Probes of one, two and one rows of five classes."""
    random = np.random.default_rng(0)
    return [random.normal(size=(rows, 5)) for rows in (1, 2, 1)]


def copied(logits: list[Logits]) -> list[Logits]:
    return [one.copy() for one in logits]


def test_equal_logits_agree_in_every_figure(expected: list[Logits]) -> None:
    found = compare(expected, expected)
    assert (found.rows, found.largest_difference, found.same_top, found.kl) == (4, 0, 1, 0)
    assert found.cosine == pytest.approx(1)


def test_largest_difference_is_that_of_any_row(expected: list[Logits]) -> None:
    found = copied(expected)
    found[1][1, 3] -= 0.25
    assert compare(found, expected).largest_difference == pytest.approx(0.25)


def test_same_top_is_the_share_of_rows(expected: list[Logits]) -> None:
    found = copied(expected)
    found[1][0, expected[1][0].argmin()] = 10
    assert compare(found, expected).same_top == 0.75


def test_opposite_logits_have_cosine_minus_one(expected: list[Logits]) -> None:
    assert compare([-one for one in expected], expected).cosine == pytest.approx(-1)


def test_shifted_rows_have_the_same_distribution(expected: list[Logits]) -> None:
    assert compare([one + 3 for one in expected], expected).kl == pytest.approx(0, abs=1e-12)


def test_divergence_is_the_mean_over_rows_and_takes_the_expected_side_first() -> None:
    # Rows (3/4, 1/4) and (1/2, 1/2) against (1/2, 1/2) twice:
    # 3/4 log(3/2) + 1/4 log(1/2) = 0.1308, and 0.
    expected = [np.log([[0.75, 0.25]]), np.log([[0.5, 0.5]])]
    found = [np.log([[0.5, 0.5]])] * 2
    assert compare(found, expected).kl == pytest.approx(0.130812 / 2, abs=1e-6)
    assert compare(expected, found).kl == pytest.approx(0.143841 / 2, abs=1e-6)


def test_probes_may_have_other_numbers_of_classes() -> None:
    """The starts of an answer are as many as the text has tokens."""
    random = np.random.default_rng(1)
    expected = [random.normal(size=(2, length)) for length in (3, 9, 5)]
    found = [one + random.normal(size=one.shape) for one in expected]
    wanted = [
        rel_entr(softmax(theirs, axis=1), softmax(ours, axis=1)).sum(axis=1)
        for ours, theirs in zip(found, expected, strict=True)
    ]
    measured = compare(found, expected)
    assert measured.rows == 6
    assert measured.kl == pytest.approx(np.concatenate(wanted).mean())
    every = [np.concatenate([one.ravel() for one in side]) for side in (found, expected)]
    assert measured.largest_difference == np.abs(every[0] - every[1]).max()
    assert measured.cosine == pytest.approx(
        every[0] @ every[1] / np.linalg.norm(every[0]) / np.linalg.norm(every[1])
    )


def test_zero_logits_are_equal() -> None:
    assert compare([np.zeros((2, 3))], [np.zeros((2, 3))]).cosine == 1


def test_not_a_number_shows_in_the_cosine(expected: list[Logits]) -> None:
    found = copied(expected)
    found[0][0, 0] = np.nan
    assert np.isnan(compare(found, expected).cosine)


def test_hidden_states_are_compared_as_vectors(expected: list[Logits]) -> None:
    found = [one + 0.1 * np.random.default_rng(2).normal(size=one.shape) for one in expected]
    measured = compare_hidden_states(found, expected)
    ours, theirs = np.concatenate(found), np.concatenate(expected)
    rows = [1 - cosine(*pair) for pair in zip(ours, theirs, strict=True)]
    assert measured.rows == 4
    assert measured.worst_cosine == pytest.approx(min(rows))
    assert measured.cosine == pytest.approx(1 - cosine(ours.ravel(), theirs.ravel()))
    assert measured.largest_difference == np.abs(ours - theirs).max()
    # The share of the variance that is left unexplained, as a length.
    unexplained = ((ours - theirs) ** 2).sum() / (len(theirs) * theirs.var(axis=0).sum())
    assert measured.relative_error == pytest.approx(np.sqrt(unexplained))
    assert measured.same_top is measured.kl is None


def test_what_all_tokens_have_in_common_hides_no_error(expected: list[Logits]) -> None:
    found = [one + 0.5 for one in expected]
    common = np.full(5, 1000.0)
    near = compare_hidden_states(found, expected)
    far = compare_hidden_states(*([one + common for one in side] for side in (found, expected)))
    assert far.cosine > 0.999999 > near.cosine
    assert far.relative_error == pytest.approx(near.relative_error)


def test_hidden_states_that_are_the_same_agree(expected: list[Logits]) -> None:
    for states in (expected, [np.zeros((3, 5))]):
        found = compare_hidden_states(states, states)
        assert (found.worst_cosine, found.cosine) == pytest.approx((1, 1))
        assert found.relative_error == found.largest_difference == 0


# What the probes are run on: the exports of every task.
TASKS = ["wide_fill_mask", "wide_classifier", "wide_tagger", "wide_answerer", "wide_embedder"]


def tokenizer_of(exported: Any) -> Tokenizer:
    return Tokenizer(exported.folder, ModelConfig.read(exported.folder / "config.json"))


def session_of(model: onnx.ModelProto, path: Path) -> Session:
    onnx.save(model, str(path))
    spec = Variant(
        graph=path.name,
        reads=(),
        standard=path.name,
        precision="fp32",
        scheme="",
        opset=17,
        onnxruntime="1.16.0",
        inputs=tensor_specs(model.graph.input),
        outputs=tensor_specs(model.graph.output),
        agreement=Agreement(0, 0, 0, 0, 0),
    )
    return Session("fp32", path, spec, "cpu", 1)


def served_graph(exported: Any) -> onnx.ModelProto:
    return exported.graphs.served or exported.graphs.standard


def probes_of(exported: Any, path: Path) -> Probes:
    session = session_of(served_graph(exported), path)
    return Probes(tokenizer_of(exported), exported.task, session.run)


@pytest.mark.parametrize("exported", TASKS)
def test_probes_are_each_text_by_itself(request: pytest.FixtureRequest, exported: str) -> None:
    given = request.getfixturevalue(exported)
    asked: list[NDArray[np.int64]] = []

    def answer(ids: NDArray[np.int64], mask: NDArray[np.int64]) -> Any:
        assert mask.all()
        assert (ids.dtype, mask.dtype, mask.shape) == (np.int64, np.int64, ids.shape)
        asked.append(ids)
        return np.zeros((1, 2), np.float32)

    Probes(tokenizer_of(given), given.task, answer)
    texts = [
        given.tokenizer(text, truncation=True, max_length=64, return_tensors="np")["input_ids"]
        for text in TEXTS
    ]
    if given.task != "fill-mask":
        assert all(np.array_equal(*pair) for pair in zip(asked, texts, strict=True))
        return
    mask = given.tokenizer.mask_token_id
    assert len(asked) == sum(len(range(1, ids.shape[1] - 1, 3)) for ids in texts)
    for ids in asked:
        assert (ids == mask).sum() == 1
        close = [one for one in texts if one.shape == ids.shape and (one != ids).sum() == 1]
        assert len(close) == 1


@pytest.mark.parametrize("exported", TASKS)
def test_the_graph_itself_agrees_and_the_rows_are_counted(
    request: pytest.FixtureRequest, tmp_path: Path, exported: str
) -> None:
    given = request.getfixturevalue(exported)
    found = probes_of(given, tmp_path / "g.onnx").measure(
        session_of(served_graph(given), tmp_path / "h.onnx"), 0.99999
    )
    tokens = [
        len(given.tokenizer(text, truncation=True, max_length=64)["input_ids"]) for text in TEXTS
    ]
    rows = {
        "fill-mask": sum(len(range(1, count - 1, 3)) for count in tokens),
        "text-classification": len(TEXTS),
        "token-classification": sum(tokens),
        "question-answering": 2 * len(TEXTS),
        "feature-extraction": sum(tokens),
    }
    assert found.rows == rows[given.task]
    assert found.largest_difference == 0
    if given.task == "feature-extraction":
        assert (found.same_top, found.kl, found.relative_error) == (None, None, 0)
        assert found.worst_cosine == pytest.approx(1)
    else:
        assert (found.same_top, found.worst_cosine, found.relative_error) == (1, None, None)


def spoiled(model: onnx.ModelProto, name: str, value: float) -> onnx.ModelProto:
    """A copy whose weight of that name has one other element."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    (tensor,) = (one for one in copy.graph.initializer if one.name.endswith(name))
    values = numpy_helper.to_array(tensor).copy()
    values.ravel()[0] = value
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return copy


@pytest.mark.parametrize("value", [1e3, float("nan")])
@pytest.mark.parametrize(
    ("exported", "weight"),
    [
        ("wide_fill_mask", "lm_head.bias"),
        ("wide_classifier", "out_proj.bias"),
        ("wide_tagger", "classifier.bias"),
        ("wide_answerer", "qa_outputs.weight"),
        ("wide_embedder", "layer.1.block.output_norm.bias"),
    ],
)
def test_wrong_variant_is_refused(
    request: pytest.FixtureRequest, tmp_path: Path, exported: str, weight: str, value: float
) -> None:
    given = request.getfixturevalue(exported)
    probes = probes_of(given, tmp_path / "g.onnx")
    wrong = session_of(spoiled(served_graph(given), weight, value), tmp_path / "h.onnx")
    message = r"^variant fp32 does not answer as FP32 does: the cosine .* must be 0\.98 .* Leave"
    with pytest.raises(AgreementError, match=message) as raised:
        probes.measure(wrong, 0.98)
    assert "\n" not in str(raised.value)


def test_standard_graph_is_checked_at_the_masks(wide_fill_mask: Any, tmp_path: Path) -> None:
    probes = probes_of(wide_fill_mask, tmp_path / "g.onnx")
    path = tmp_path / "standard.onnx"
    onnx.save(wide_fill_mask.graphs.standard, str(path))
    probes.check_standard(path, 0.99999)
    onnx.save(spoiled(wide_fill_mask.graphs.standard, "lm_head.bias", 1e3), str(path))
    with pytest.raises(AgreementError, match=r"^standard\.onnx does not answer as FP32 does"):
        probes.check_standard(path, 0.98)


def test_reference_of_an_answer_may_be_a_pair(wide_answerer: Any, tmp_path: Path) -> None:
    """Starts and ends are rows of their own, as long as the text."""
    session = session_of(wide_answerer.graphs.standard, tmp_path / "g.onnx")

    def swapped(ids: NDArray[np.int64], mask: NDArray[np.int64]) -> Any:
        start, end = session.run(ids, mask)
        return end, start

    probes = Probes(tokenizer_of(wide_answerer), wide_answerer.task, swapped)
    with pytest.raises(AgreementError):
        probes.measure(session, 0.98)
