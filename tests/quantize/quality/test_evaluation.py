"""Models side by side: what is compared, what a loss is, and when the gate closes."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from distilroberta.quantize.errors import QuantizationError
from distilroberta.quantize.quality import evaluation
from distilroberta.quantize.quality.errors import QualityError
from distilroberta.quantize.quality.evaluation import Candidate, measure, prepare
from distilroberta.quantize.quality.gate import check
from distilroberta.quantize.quality.report import table
from distilroberta.quantize.quality.result import Result, Scores
from distilroberta.runtime import ArtifactError, InputError

Write = Callable[..., Path]

LABELS = [0, 1, 2, 1, 0, 2, 1]
TEXTS = [f"text{' word' * index}" for index in range(len(LABELS))]


@pytest.fixture
def data(write: Write, classifier: Path) -> evaluation.Prepared:
    """Seven texts of different lengths, with labels of the three-label classifier."""
    rows = zip(TEXTS, LABELS, strict=True)
    path = write("dev.tsv", "".join(f"{text}\t{label}\n" for text, label in rows))
    return prepare(classifier, "text-classification", path)


def always(*labels: int) -> Any:
    """A model that knows a text by its length, and gives these labels in the order of TEXTS."""

    def run(ids: Any, mask: Any) -> Any:
        lengths = mask.sum(axis=1)
        logits = np.zeros((len(ids), 3), np.float32)
        for row, length in enumerate(lengths):
            logits[row, labels[int(length) - SHORTEST]] = 2
        return logits

    return run


SHORTEST = 4  # <s>, two tokens of the first text, </s>


def test_lengths_are_as_the_models_here_take_them(data: evaluation.Prepared) -> None:
    lengths = [len(case.ids) for case in data.task.cases]
    assert lengths == list(range(SHORTEST, SHORTEST + len(TEXTS)))


def test_scores_losses_and_agreement(data: evaluation.Prepared) -> None:
    close = [*LABELS[:-1], 0]
    candidates = [
        Candidate("right", always(*LABELS)),
        Candidate("close", always(*close), 123),
        Candidate("wrong", always(*(1 - label if label < 2 else 0 for label in LABELS))),
    ]
    result = measure(data, candidates, reference="right", batch_size=2)
    assert [one.name for one in result.scores] == ["right", "close", "wrong"]
    assert [one.bytes for one in result.scores] == [None, 123, None]
    accuracy = [one.metrics["accuracy"] for one in result.scores]
    assert accuracy == pytest.approx([1, 6 / 7, 0])
    lost = [result.lost(one.name) for one in result.scores]
    assert lost == pytest.approx([0, 100 / 7, 100])
    assert result.scores[0].agreement is None
    agreement = result.scores[1].agreement
    assert agreement is not None
    assert (agreement.rows, agreement.same_top) == (7, 6 / 7)
    assert agreement.largest_difference == 2
    assert result.counts == {"texts": 7, "texts_cut": 0, "rows_left_out": 0}


def test_each_model_runs_each_batch_once_and_the_longest_first(data: evaluation.Prepared) -> None:
    seen: list[tuple[str, tuple[int, ...]]] = []

    def model(name: str) -> Any:
        def run(ids: Any, mask: Any) -> Any:
            seen.append((name, ids.shape))
            assert ids.dtype == mask.dtype == np.int64
            return np.zeros((len(ids), 3), np.float32)

        return run

    done: list[tuple[int, int]] = []
    candidates = [Candidate("a", model("a")), Candidate("b", model("b"))]
    measure(data, candidates, reference="b", batch_size=3, progress=lambda *pair: done.append(pair))
    shapes = [(3, 10), (3, 7), (1, 4)]
    assert seen == [(name, shape) for shape in shapes for name in "ab"]
    assert done == [(3, 7), (6, 7), (7, 7)]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_logits_that_are_no_numbers_are_refused(data: evaluation.Prepared, value: float) -> None:
    def broken(ids: Any, mask: Any) -> Any:
        logits = always(*LABELS)(ids, mask)
        logits[0, 0] = value
        return logits

    candidates = [Candidate("fine", always(*LABELS)), Candidate("broken", broken)]
    with pytest.raises(QualityError, match=r"^broken gives logits that are not finite") as caught:
        measure(data, candidates, reference="fine")
    assert caught.value.variant == "broken"
    assert isinstance(caught.value, QuantizationError)


@pytest.mark.parametrize("batch_size", [0, -1, True, "8"])
def test_batch_size_that_is_none(data: evaluation.Prepared, batch_size: Any) -> None:
    with pytest.raises(InputError, match="batch_size must be a whole number"):
        measure(data, [], reference=None, batch_size=batch_size)


def test_json_holds_everything(data: evaluation.Prepared) -> None:
    candidates = [Candidate("a", always(*LABELS)), Candidate("b", always(*LABELS[::-1]), 5)]
    result = measure(data, candidates, reference="a")
    tree = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert tree["main_metric"] == "accuracy"
    assert tree["data"] == "dev.tsv"
    assert len(tree["data_sha256"]) == 64
    first, second = tree["scores"]
    assert (first["points_lost"], first["agreement"]) == (0, None)
    assert second["points_lost"] == pytest.approx(result.lost("b"))
    assert second["agreement"]["kl"] > 0
    assert second["bytes"] == 5


def edited(folder: Path, target: Path, **changes: Any) -> Path:
    import shutil

    shutil.copytree(folder, target)
    config = json.loads((target / "config.json").read_text("utf-8"))
    (target / "config.json").write_text(json.dumps({**config, **changes}), "utf-8")
    return target


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"problem_type": "multi_label_classification"}, InputError, "several answers at once"),
        ({"problem_type": "regression"}, InputError, "several answers at once"),
        ({"id2label": {"0": "a", "2": "b"}}, ArtifactError, "must name every label from 0 up"),
    ],
)
def test_models_that_can_not_be_scored(
    classifier: Path,
    tmp_path: Path,
    changes: dict[str, Any],
    error: type[Exception],
    said: str,
) -> None:
    folder = edited(classifier, tmp_path / "model", **changes)
    with pytest.raises(error, match=said):
        prepare(folder, "text-classification", tmp_path / "a.tsv")


def test_task_that_is_none(classifier: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown task 'translation': choose one of text-class"):
        prepare(classifier, "translation", tmp_path / "a.tsv")


def test_missing_extra_is_named(
    classifier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        evaluation, "find_spec", lambda name: None if name == "seqeval" else object()
    )
    with pytest.raises(InputError, match=r"\(seqeval missing\): pip install .*\[evaluate\]"):
        prepare(classifier, "text-classification", tmp_path / "a.tsv")


def result_of(metric: str | None = "accuracy", **accuracy: float) -> Result:
    """A result of models with these scores, the first one the reference."""
    scores = tuple(
        Scores(name, None, {} if metric is None else {metric: value}, None)
        for name, value in accuracy.items()
    )
    reference = next(iter(accuracy))
    counts: Mapping[str, int] = {"texts": 872}
    return Result("text-classification", "dev.tsv", "0" * 64, metric, reference, 8, counts, scores)


def test_gate_lets_pass_what_loses_no_more() -> None:
    check(result_of(pytorch=0.858, fp32=0.858, int8=0.855, better=0.9), 0.5)
    check(result_of(pytorch=0.75, int8=0.5), 25)
    check(result_of(pytorch=0.858, int8=0.858), 0)


def test_gate_lets_pass_what_loses_exactly_as_much_as_is_allowed() -> None:
    """In floating point 100 * (0.5 - 0.495) is a little more than 0.5."""
    result = result_of(pytorch=0.5, int8=0.495)
    assert result.lost("int8") > 0.5  # type: ignore[operator]
    check(result, 0.5)
    with pytest.raises(QualityError, match=r"int8 loses 0\.50 points"):
        check(result, 0.4999)


def test_gate_refuses_what_is_not_a_number() -> None:
    with pytest.raises(QualityError, match="int8 loses nan points of accuracy") as caught:
        check(result_of(pytorch=0.5, int4=0.4, int8=math.nan, fp16=0.3), 0.5)
    assert caught.value.variant == "int8"


def test_gate_names_all_that_lose_more_and_is_about_the_worst() -> None:
    with pytest.raises(QualityError) as caught:
        check(result_of(pytorch=0.858, fp32=0.858, int8=0.85, int4=0.8), 0.5)
    error = caught.value
    assert str(error) == (
        "int8 loses 0.80 points of accuracy on dev.tsv (0.8500, pytorch has 0.8580); int4 loses "
        "5.80 points of accuracy on dev.tsv (0.8000, pytorch has 0.8580); at most 0.5 points are "
        "allowed: leave out int8 and int4, or raise --max-drop"
    )
    assert (error.variant, error.allowed) == ("int4", 0.5)
    assert error.lost == pytest.approx(5.8)
    assert error.exit_code == 1


def test_gate_needs_labels_and_a_bound() -> None:
    with pytest.raises(InputError, match=r"dev\.tsv: a loss can't be stated without labels"):
        check(result_of(None, pytorch=0, int8=0), 0.5)
    for bound in (-0.1, float("nan"), float("inf")):
        with pytest.raises(InputError, match="max_drop must be a number of points from 0 up"):
            check(result_of(pytorch=1, int8=1), bound)


def shown(result: Result) -> list[list[str]]:
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(table(result))
    lines = console.export_text().splitlines()
    rows = [
        line.strip("│┃ ").replace("┃", "│").split("│")
        for line in lines
        if "│" in line or "┃" in line
    ]
    return [[cell.strip() for cell in row] for row in rows]


def test_table_has_a_row_for_each_model(data: evaluation.Prepared) -> None:
    close = [*LABELS[:-1], 0]
    candidates = [
        Candidate("PyTorch FP32", always(*LABELS)),
        Candidate("int8[x]", always(*close), 12_340_000),
    ]
    header, first, second = shown(measure(data, candidates, reference="PyTorch FP32"))
    assert header == [
        *("variant", "MB", "accuracy", "f1", "matthews"),
        *("points lost", "same top", "KL, nats"),
    ]
    assert first == ["PyTorch FP32", "-", "100.00%", "100.00%", "1.0000", "-", "-", "-"]
    assert second[:3] == ["int8[x]", "12.3", "85.71%"]
    assert second[5:7] == ["+14.29", "85.71%"]
