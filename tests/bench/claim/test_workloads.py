"""What is timed, and what answers are compared on before that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from distilroberta.bench.claim import workloads
from distilroberta.bench.claim.models import Models
from distilroberta.bench.harness.workload import Shape

SHAPES = [Shape(1, 16), Shape(8, 64), Shape(16, 64)]


@pytest.mark.parametrize(
    ("task", "labels", "checked"),
    [
        ("text-classification", 28, ["16 tokens", "8 x 64 tokens", "16 x 64 tokens"]),
        ("text-classification", 2, ["8 x 16 tokens", "8 x 64 tokens", "16 x 64 tokens"]),
        ("fill-mask", None, ["16 tokens", "8 x 64 tokens"]),
        ("feature-extraction", None, ["16 tokens", "8 x 64 tokens"]),
    ],
)
def test_answers_are_compared_on_small_cells(
    task: str,
    labels: int | None,
    checked: list[str],
    make_checkpoint: Callable[..., Path],
    tmp_path: Path,
) -> None:
    kind = "fill-mask" if labels is None else task
    given = {} if labels is None else {"num_labels": labels}
    pair = [str(make_checkpoint(kind, **given)) for _ in range(2)]
    found = workloads.of_task(Models(",".join(pair), tmp_path, 1), task, SHAPES)
    assert [one.name for one in found.cells] == ["16 tokens", "8 x 64 tokens", "16 x 64 tokens"]
    assert [one.name for one in found.checked] == checked
    assert [one.name for one in found.single] == ["16 tokens", "64 tokens"]


def test_where_all_cells_are_large_one_short_text_is_compared(
    make_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    checkpoint = str(make_checkpoint())
    models = Models(f"{checkpoint},{checkpoint}", tmp_path, 1)
    found = workloads.of_task(models, "fill-mask", [Shape(16, 64), Shape(32, 32)])
    assert [one.name for one in found.checked] == ["32 tokens"]
