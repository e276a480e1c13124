"""Metrics against figures worked by hand and against other libraries."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sklearn_metrics

from distilroberta.quantize.quality import metrics


def test_two_labels_by_hand() -> None:
    # 3 true positives, 1 false positive, 2 false negatives, 4 true negatives.
    labels = np.array([1, 1, 1, 1, 1, 0, 0, 0, 0, 0])
    found = np.array([1, 1, 1, 0, 0, 1, 0, 0, 0, 0])
    scores = metrics.classification(found, labels, 2)
    assert list(scores) == ["accuracy", "f1", "matthews"]
    assert scores["accuracy"] == pytest.approx(0.7)
    assert scores["f1"] == pytest.approx(2 * 3 / (2 * 3 + 1 + 2))
    assert scores["matthews"] == pytest.approx((3 * 4 - 1 * 2) / math.sqrt(4 * 5 * 5 * 6))


def test_three_labels_by_hand() -> None:
    labels, found = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 1])
    scores = metrics.classification(found, labels, 3)
    # F1 of the labels: 2/3, 1/2 and 0.
    assert scores["f1"] == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert scores["accuracy"] == 0.5


def test_one_label_alone_has_scores() -> None:
    scores = metrics.classification(np.zeros(3, int), np.zeros(3, int), 2)
    assert scores == {"accuracy": 1, "f1": 0, "matthews": 0}


def test_binary_f1_is_that_of_label_1() -> None:
    labels, found = np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1])
    assert metrics.classification(found, labels, 2)["f1"] == pytest.approx(2 / 3)
    assert metrics.classification(1 - found, 1 - labels, 2)["f1"] == pytest.approx(4 / 5)


def test_correlations_by_hand_and_by_scipy() -> None:
    labels, found = np.array([0.0, 1, 2, 3]), np.array([1.0, 0.5, 8, 9])
    scores = metrics.regression(found, labels)
    # Ranks 2 1 3 4 against 1 2 3 4: 1 - 6 * 2 / (4 * 15).
    assert scores["spearman"] == pytest.approx(0.8)
    covariance = np.cov(found, labels, bias=True)[0, 1]
    assert scores["pearson"] == pytest.approx(covariance / (found.std() * labels.std()))
    assert scores["spearman"] == pytest.approx(stats.spearmanr(labels, found)[0])


def test_answers_that_are_all_the_same_have_no_correlation() -> None:
    with pytest.raises(ValueError, match=r"all answers are 2\.5, and have no correlation"):
        metrics.regression(np.full(3, 2.5), np.array([1.0, 2, 3]))


def test_spans_by_hand() -> None:
    labels = [["B-NP", "I-NP", "O", "B-VP"], ["B-NP", "O"]]
    found = [["B-NP", "I-NP", "O", "B-NP"], ["B-NP", "I-NP"]]
    scores = metrics.spans(found, labels)
    # Right: the first NP. Found 3 spans, there are 3; the last one is one word too long.
    assert scores["precision"] == scores["recall"] == scores["f1"] == pytest.approx(1 / 3)
    assert scores["accuracy"] == pytest.approx(4 / 6)


def test_span_begins_without_b_as_in_conlleval() -> None:
    labels = [["I-NP", "I-NP", "O", "B-VP"]]
    assert metrics.spans([["B-NP", "I-NP", "O", "I-VP"]], labels)["f1"] == 1
    # Another type ends a span.
    assert metrics.spans([["B-NP", "I-VP", "O", "I-VP"]], labels)["precision"] == pytest.approx(
        1 / 3
    )


def test_no_span_found() -> None:
    scores = metrics.spans([["O", "O"]], [["B-NP", "O"]])
    assert (scores["f1"], scores["precision"], scores["recall"]) == (0, 0, 0)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["O", "B-NP", "I-NP"], True),
        (["O", "S-PER", "E-PER", "B-PER", "I-PER"], True),
        (["NN", "VB", "O"], False),
        (["LABEL_0", "LABEL_1"], False),
        (["O", "B-"], False),
    ],
)
def test_labels_of_spans(names: list[str], expected: bool) -> None:
    assert metrics.has_spans(names) is expected


def test_random_answers_score_as_sklearn_scores_them() -> None:
    random = np.random.default_rng(0)
    labels, found = random.integers(0, 4, size=(2, 500))
    scores = metrics.classification(found, labels, 4)
    assert scores["accuracy"] == sklearn_metrics.accuracy_score(labels, found)
    by_label = sklearn_metrics.f1_score(labels, found, average=None)
    assert scores["f1"] == pytest.approx(by_label.mean())
