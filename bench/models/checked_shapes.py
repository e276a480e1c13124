"""The shapes that answers are compared on, for a comparison that can tell a wrong answer."""

from __future__ import annotations

from collections.abc import Sequence

from distilroberta.bench.harness.workload import Shape
from distilroberta.runtime import Artifact, layout
from distilroberta.runtime.tasks.model_config import ModelConfig

# Of one text and two labels a cosine says nothing but which is better, which may be as good as
# even. So with fewer labels than this it is of as many texts.
_CHECKED = 8
_CHECKED_TOKENS = 16
_CLASSIFICATION = "text-classification"


def checked_shapes(task: str, labels: int | None, shapes: Sequence[Shape]) -> list[Shape]:
    """Return the shapes that are timed, for most models.

    For a classifier with few labels, fewer texts than eight become eight that have about as many
    tokens together: with more, the comparison would set the peak of the memory.

    Args:
        task: the model's.
        labels: how many a classifier has; None where that is not known, or there are none.
        shapes: what is timed.
    """
    if task != _CLASSIFICATION or labels is None or labels >= _CHECKED:
        return list(shapes)
    enough = (
        shape
        if shape.rows >= _CHECKED
        else Shape(_CHECKED, max(_CHECKED_TOKENS, shape.rows * shape.tokens // _CHECKED))
        for shape in shapes
    )
    return list(dict.fromkeys(enough))


def checked_shapes_of(artifact: Artifact, shapes: Sequence[Shape]) -> list[Shape]:
    """Return the shapes that an artifact's answers are compared on: see `checked_shapes`."""
    labels = None
    if artifact.task == _CLASSIFICATION:
        labels = len(ModelConfig.read(artifact.file(layout.CONFIG)).id2label)
    return checked_shapes(artifact.task, labels, shapes)
