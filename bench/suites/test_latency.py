"""Latency by variant, for pytest-benchmark: the variants of one artifact side by side.

    pytest bench/ --benchmark-only
    pytest bench/ --benchmark-only --benchmark-autosave --benchmark-compare
    pytest bench/ --benchmark-only -k "session and int8" --benchmark-max-time=5

A group is a task, a level and a shape. What is measured is small, see `conftest`, and all of it
runs in this one process, one after the other: good for seeing what a change of our own code does.
For the figures of a real model use `distilroberta bench latency`, and for other engines
`distilroberta bench peers`, which interleave and give each a process of its own. Nothing here
asserts a speed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from distilroberta.bench.harness.workload import Shape
from distilroberta.runtime import Artifact, layout

_TASKS = ("fill-mask", "text-classification", "feature-extraction")
_SHAPES = (Shape(1, 16), Shape(1, 128), Shape(8, 128))
_LAYERS = 6


@pytest.mark.parametrize("shape", _SHAPES, ids=str)
@pytest.mark.parametrize("variant", layout.VARIANTS)
@pytest.mark.parametrize("task", _TASKS)
@pytest.mark.parametrize("level", ["session", "pipeline"])
def test_latency(
    benchmark: Any,
    built: Callable[..., Artifact],
    call: Callable[..., Callable[[], Any]],
    circumstances: dict[str, Any],
    digest: Callable[[Artifact], str],
    level: str,
    task: str,
    variant: str,
    shape: Shape,
) -> None:
    """Run a variant once per text of the shape: token ids to logits, or texts to answers."""
    artifact = built(task, _LAYERS, layout.VARIANTS)
    benchmark.group = f"latency, {task}, {level}, {shape}"
    benchmark.extra_info.update(circumstances, artifact=digest(artifact), layers=_LAYERS)
    answers = benchmark(call(level, artifact, variant, shape))
    assert len(answers) >= shape.rows  # for one text, fill-mask gives five words
