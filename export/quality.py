"""What the variants of an artifact that is being built score on labelled data."""

from __future__ import annotations

from pathlib import Path

from distilroberta.export.checkpoint import Loaded
from distilroberta.export.evaluate import PYTORCH
from distilroberta.export.reference import Reference
from distilroberta.quantize.quality import gate
from distilroberta.quantize.quality.errors import DataError
from distilroberta.quantize.quality.evaluation import Candidate, measure, prepare
from distilroberta.quantize.quality.result import Result
from distilroberta.runtime.artifact import Artifact
from distilroberta.runtime.manifest import Evaluation


def score(
    artifact: Artifact, loaded: Loaded, data: Path, max_drop: float | None
) -> dict[str, Evaluation]:
    """Score every variant beside PyTorch.

    Args:
        artifact: what was made of the checkpoint.
        loaded: the checkpoint.
        data: labelled data for its task.
        max_drop: how many points a variant may lose, None for any.

    Raises:
        DataError: the data can't be read, has no labels, or does not fit the task.
        QualityError: a variant loses more than `max_drop`.
    """
    prepared = prepare(artifact.path, artifact.task, data)
    if prepared.task.main_metric is None:
        raise DataError(f"{data} has no labels, which a score needs")
    candidates = [Candidate(PYTORCH, Reference(loaded).served)]
    for name in artifact.variants:
        session = artifact.session(name, provider="cpu")
        candidates.append(Candidate(name, session.run, artifact.bytes_of(name)))
    result = measure(prepared, candidates, reference=PYTORCH)
    if max_drop is not None:
        gate.check(result, max_drop)
    return _evaluations(result)


def _evaluations(result: Result) -> dict[str, Evaluation]:
    metric = str(result.main_metric)
    reference = next(one for one in result.scores if one.name == PYTORCH)
    found = {}
    for one in result.scores:
        if one.agreement is None:
            continue
        found[one.name] = Evaluation(
            data=result.data,
            data_sha256=result.data_sha256,
            metric=metric,
            value=one.metrics[metric],
            reference=reference.metrics[metric],
            same_top=one.agreement.same_top,
            kl=one.agreement.kl,
        )
    return found
