"""The results of `bench gpu`: sessions on a GPU, beside INT8 on the CPU."""

from __future__ import annotations

from dataclasses import dataclass

from distilroberta.bench.report.comparison import (
    Comparison,
    EngineRatio,
    comparison,
    engine_ratios,
)
from distilroberta.bench.report.fields import Fields


@dataclass(frozen=True)
class GpuResults:
    """All that one run of `bench gpu` found.

    `device` names the GPU. A session that did not start is an engine that was refused.
    """

    device: str
    comparison: Comparison
    ratios: tuple[EngineRatio, ...]


def gpu_results(fields: Fields) -> GpuResults:
    """Read the fields of `bench gpu`.

    Raises:
        InputError: a field is missing or not what it must be.
    """
    return GpuResults(
        fields.text("device"), comparison(fields.inner("comparison")), engine_ratios(fields)
    )
