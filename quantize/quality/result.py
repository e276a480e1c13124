"""What several models scored on the same data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from distilroberta.quantize.quality.agreement import Agreement

POINTS = 100


@dataclass(frozen=True)
class Scores:
    """What a model scored.

    `metrics` are by name, the main one first; they are empty for masked texts without words.
    `agreement` is with the reference, None for the reference itself and where there is none.
    """

    name: str
    bytes: int | None
    metrics: Mapping[str, float]
    agreement: Agreement | None


@dataclass(frozen=True)
class Result:
    """What several models scored on the same data.

    `data` is the file's name, `data_sha256` that of its bytes. `main_metric` is the one a loss is
    stated in, None where the data has no labels. `reference` names the model that the others are
    compared with, None for none. `counts` says how many texts, words, masks, ... there were, and
    how many were cut or left out.
    """

    task: str
    data: str
    data_sha256: str
    main_metric: str | None
    reference: str | None
    batch_size: int
    counts: Mapping[str, int]
    scores: tuple[Scores, ...]

    def lost(self, name: str) -> float | None:
        """Return what a model loses against the reference, in points of the main metric.

        A point is a hundredth. None without a reference or a main metric.

        Raises:
            KeyError: no model has this name.
        """
        by_name = {scores.name: scores for scores in self.scores}
        if self.main_metric is None or self.reference is None:
            return None
        reference = by_name[self.reference].metrics[self.main_metric]
        return POINTS * (reference - by_name[name].metrics[self.main_metric])

    def to_json(self) -> dict[str, Any]:
        """Return all of it as what `json.dumps` takes, with `points_lost` for each model."""
        scores = [{**asdict(one), "points_lost": self.lost(one.name)} for one in self.scores]
        return {**asdict(self), "scores": scores}
