"""What each variant costs on trained models, by a build and an evaluation as users run them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from distilroberta.export import build
from distilroberta.export.evaluate import evaluate
from distilroberta.runtime import layout

pytestmark = pytest.mark.reality


class Bounds(NamedTuple):
    """The least share of equal top tokens and the largest KL divergence, in nats, of masked words;
    the most points that a classifier and a tagger may lose."""

    same_top: float
    kl: float
    points: float


BOUNDS = {
    "fp16": Bounds(0.995, 1e-5, 0.05),
    "int8-static": Bounds(0.92, 0.005, 0.5),
    "int8": Bounds(0.94, 0.003, 0.5),
    "int4": Bounds(0.85, 0.03, 1.5),
}


@pytest.mark.parametrize(
    ("name", "data", "metric", "score"),
    [
        ("mlm", "masked.tsv", "top_1", 0.2317),
        ("sst2", "sst2-dev.tsv", "accuracy", 0.858),
        ("chunk", "chunk-dev.txt", "f1", 0.954),
    ],
)
def test_no_variant_loses_more_than_it_may(
    reality: Path, tmp_path: Path, name: str, data: str, metric: str, score: float
) -> None:
    """Against FP32, whose score is the one that the checkpoint came with."""
    artifact = build(reality / name, tmp_path / name, variants=layout.VARIANTS)
    result = evaluate(artifact, reality / "data" / data, with_pytorch=False, threads=1)
    assert result.main_metric == metric
    found = {one.name: one for one in result.scores}
    assert found["fp32"].metrics[metric] == pytest.approx(score, abs=0.001)
    for variant, bounds in BOUNDS.items():
        agreement = found[variant].agreement
        assert agreement.kl > 0
        if name == "mlm":
            assert agreement.same_top >= bounds.same_top, variant
            assert agreement.kl <= bounds.kl, variant
        else:
            assert result.lost(variant) <= bounds.points, variant
            assert agreement.same_top >= 0.97, variant
