"""What INT4 costs on trained models, through a build and an evaluation as users run them."""

from __future__ import annotations

from pathlib import Path

import pytest

from distilroberta.export import build
from distilroberta.export.evaluate import evaluate

pytestmark = pytest.mark.reality

POINTS_LOST = 1.5


@pytest.mark.parametrize(
    ("name", "data", "metric"),
    [
        ("mlm", "masked.tsv", None),
        ("sst2", "sst2-dev.tsv", "accuracy"),
        ("chunk", "chunk-dev.txt", "f1"),
    ],
)
def test_int4_stays_close_to_fp32(
    reality: Path, tmp_path: Path, name: str, data: str, metric: str | None
) -> None:
    artifact = build(reality / name, tmp_path / name, variants=["fp32", "int4"])
    result = evaluate(artifact, reality / "data" / data, with_pytorch=False, threads=1)
    agreement = result.scores[1].agreement
    assert agreement is not None
    assert agreement.same_top is not None
    assert agreement.kl is not None
    assert agreement.same_top >= 0.85
    assert 0 < agreement.kl <= 0.03
    lost = result.lost("int4")
    assert lost is not None
    if metric is not None:
        assert result.main_metric == metric
        assert lost <= POINTS_LOST
    assert artifact.bytes_of("int4") < artifact.bytes_of("fp32") / 6
