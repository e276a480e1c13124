"""What answers score against labels, all of them shares or correlations; higher is better.

Spans of labels are those of conlleval, as seqeval finds them: an `I-` that follows no span of its
type begins one. Metrics of questions are in `squad_rules`.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_BINARY = 2
_SPAN_LABEL = re.compile(r"O|[BIES]-.+")

Metrics = dict[str, float]


def classification(found: NDArray[np.int64], labels: NDArray[np.int64], classes: int) -> Metrics:
    """Score label ids against the right ones, both (examples,).

    Returns:
        `accuracy`; `f1` of label 1 where there are two, otherwise the mean over the labels that
        occur; `matthews`, the correlation coefficient that CoLA is scored by.
    """
    from sklearn import metrics

    average = "binary" if classes == _BINARY else "macro"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # where one label alone occurs
        matthews = metrics.matthews_corrcoef(labels, found)
    return {
        "accuracy": float(np.mean(found == labels)),
        "f1": float(metrics.f1_score(labels, found, average=average, zero_division=0)),
        "matthews": float(matthews),
    }


def regression(found: NDArray[np.float64], labels: NDArray[np.float64]) -> Metrics:
    """Score numbers against the right ones, both (examples,), not all the same.

    Returns:
        `spearman` and `pearson`, as STS-B is scored.

    Raises:
        ValueError: all answers are the same number, which has no correlation with anything.
    """
    from scipy import stats

    if np.ptp(found) == 0:
        raise ValueError(f"all answers are {found[0]:g}, and have no correlation with the labels")
    return {
        "spearman": float(stats.spearmanr(found, labels).statistic),
        "pearson": float(stats.pearsonr(found, labels).statistic),
    }


def has_spans(names: Sequence[str]) -> bool:
    """Tell if labels mark spans (`B-PER`, `I-PER`, `O`), rather than each word by itself."""
    return all(_SPAN_LABEL.fullmatch(name) for name in names)


def spans(found: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]) -> Metrics:
    """Score the labels of words against the right ones, by sentence.

    Returns:
        `f1`, `precision` and `recall` of the spans, and `accuracy`, the share of the words.
    """
    from seqeval import metrics

    return {
        "f1": float(metrics.f1_score(labels, found, zero_division=0)),
        "precision": float(metrics.precision_score(labels, found, zero_division=0)),
        "recall": float(metrics.recall_score(labels, found, zero_division=0)),
        "accuracy": float(metrics.accuracy_score(labels, found)),
    }
