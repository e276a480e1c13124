"""Labelled data to score new variants on, and what of the scores the manifest keeps."""

from __future__ import annotations

from pathlib import Path

from distilroberta.quantize.quality import evaluation, gate
from distilroberta.quantize.quality.errors import DataError
from distilroberta.quantize.quality.evaluation import Prepared
from distilroberta.quantize.quality.result import Result
from distilroberta.runtime.errors import InputError
from distilroberta.runtime.manifest import Evaluation


def check(data: Path | None, max_drop: float | None) -> None:
    """Check that a bound on what a variant may lose can be held, before any work.

    Raises:
        InputError: there is a bound but no data, or it is no bound.
    """
    if max_drop is None:
        return
    if data is None:
        raise InputError(
            "max_drop is about labelled data (--data): add it, or leave --max-drop out"
        )
    gate.check_bound(max_drop)


def prepare(folder: Path, task: str, data: Path) -> Prepared:
    """Read labelled data, before the work whose result is scored on it.

    Args:
        folder: the artifact's folder, for its tokenizer and config.json.
        task: its task.
        data: labelled data for it.

    Raises:
        InputError: the `evaluate` extra is not installed.
        DataError: the data can't be read, has no labels, or does not fit the task.
    """
    prepared = evaluation.prepare(folder, task, data)
    if prepared.task.main_metric is None:
        raise DataError(f"{data} has no labels, which a score needs")
    return prepared


def evaluations(result: Result) -> dict[str, Evaluation]:
    """Return what the manifest keeps of each variant's scores, by its name.

    The reference, which the others are compared with, is not among them.
    """
    metric, name = str(result.main_metric), str(result.reference)
    reference = next(one for one in result.scores if one.name == name)
    return {
        one.name: Evaluation(
            data=result.data,
            data_sha256=result.data_sha256,
            metric=metric,
            value=one.metrics[metric],
            reference=reference.metrics[metric],
            same_top=one.agreement.same_top,
            kl=one.agreement.kl,
            reference_name=name,
        )
        for one in result.scores
        if one.agreement is not None
    }
