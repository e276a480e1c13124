"""What the variants of an artifact that is being built score on labelled data."""

from __future__ import annotations

from distilroberta.export.checkpoint import Loaded
from distilroberta.export.reference import Reference
from distilroberta.quantize.quality import gate, recorded
from distilroberta.quantize.quality.evaluation import Candidate, Prepared, Progress, measure
from distilroberta.runtime.artifact import Artifact
from distilroberta.runtime.manifest import PYTORCH, Evaluation


def score(
    artifact: Artifact,
    loaded: Loaded,
    prepared: Prepared,
    max_drop: float | None,
    progress: Progress,
) -> dict[str, Evaluation]:
    """Score every variant beside PyTorch.

    Args:
        artifact: what was made of the checkpoint.
        loaded: the checkpoint.
        prepared: labelled data, see `recorded.prepare`.
        max_drop: how many points a variant may lose, None for any.
        progress: called after each batch.

    Raises:
        QualityError: a variant loses more than `max_drop`.
    """
    candidates = [Candidate(PYTORCH, Reference(loaded).served)]
    for name in artifact.variants:
        session = artifact.session(name, provider="cpu")
        candidates.append(Candidate(name, session.run, artifact.bytes_of(name)))
    result = measure(prepared, candidates, reference=PYTORCH, progress=progress)
    if max_drop is not None:
        gate.check(result, max_drop)
    return recorded.evaluations(result)
