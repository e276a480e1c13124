"""DistilRoBERTa's 6 layers against RoBERTa-base's 12, for pytest-benchmark.

    pytest bench/ --benchmark-only -k claim

A group is a task, a precision and a shape; its two rows are the two models, both on our engine and
without the work on text. They are narrow, see `conftest`, and one is measured after the other, so
that their ratio is not the real models': that is what `distilroberta bench claim` measures, in
pairs and with an interval. Nothing here asserts a speed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from distilroberta.bench.harness.workload import Shape
from distilroberta.runtime import Artifact

_TASKS = ("fill-mask", "text-classification", "feature-extraction")
_VARIANTS = ("fp32", "int8")
_SHAPES = (Shape(1, 128), Shape(8, 128))
_LAYERS = {"distilroberta": 6, "roberta-base": 12}


@pytest.mark.parametrize("model", _LAYERS)
@pytest.mark.parametrize("shape", _SHAPES, ids=str)
@pytest.mark.parametrize("variant", _VARIANTS)
@pytest.mark.parametrize("task", _TASKS)
def test_claim(
    benchmark: Any,
    built: Callable[..., Artifact],
    call: Callable[..., Callable[[], Any]],
    circumstances: dict[str, Any],
    digest: Callable[[Artifact], str],
    task: str,
    variant: str,
    shape: Shape,
    model: str,
) -> None:
    """Run one of the two models: token ids to logits."""
    artifact = built(task, _LAYERS[model], _VARIANTS)
    benchmark.group = f"claim, {task}, {variant}, {shape}"
    benchmark.extra_info.update(circumstances, artifact=digest(artifact), layers=_LAYERS[model])
    answers = benchmark(call("session", artifact, variant, shape))
    assert len(answers) == shape.rows
