"""Latency of the runtime on the bundled mini checkpoint, for pytest-benchmark.

    pytest bench/ --benchmark-only
    pytest bench/ --benchmark-only --benchmark-autosave --benchmark-compare

Each benchmark is one call of `pipeline()`, a text in, answers out, with as many threads as the
process has CPUs. They are grouped by task and length in tokens; the variants of an artifact are
what a group compares. All of them run in this one process, one after the other: good for
seeing a change of our own code. To compare engines use `fill_mask_int8`, which interleaves them.
Nothing here asserts a speed.
"""

from __future__ import annotations

from typing import Any

import pytest

from distilroberta.bench import texts
from distilroberta.bench.workload import Shape
from distilroberta.runtime import Artifact, layout, pipeline

_LENGTHS = (16, 128, 512)


@pytest.mark.parametrize("length", _LENGTHS)
@pytest.mark.parametrize("variant", layout.VARIANTS)
def test_fill_mask(
    benchmark: Any, artifact: Artifact, circumstances: dict[str, Any], variant: str, length: int
) -> None:
    """Fill one mask in a text of `length` tokens."""
    (workload,) = texts.of_artifact(artifact, [Shape(1, length)])
    fill = pipeline("fill-mask", artifact, variant=variant, provider="cpu")
    benchmark.group = f"fill-mask, {workload.name}"
    benchmark.extra_info.update(circumstances, variant=variant, tokens=length)
    answers = benchmark(fill, workload.texts[0])
    assert len(answers) == 5
