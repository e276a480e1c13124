"""The results of `bench latency`: the variants of one artifact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from distilroberta.bench.harness.interleave import Spread
from distilroberta.bench.report.comparison import (
    Comparison,
    EngineRatio,
    comparison,
    engine_ratios,
    spread,
)
from distilroberta.bench.report.fields import Fields


@dataclass(frozen=True)
class Percentiles:
    """Milliseconds of all calls of one variant on one workload, and what follows from them.

    A percentile is None where there were too few calls to tell it.
    """

    p50: float
    p90: float | None
    p99: float | None
    calls: int
    texts_per_second: float
    joules_per_text: float | None


@dataclass(frozen=True)
class Variant:
    """A variant on a provider. Sizes are bytes; None is what was not measured.

    `same_top`, `kl` and `cosine` are its agreement with FP32, as in a manifest's `Agreement`.
    """

    engine: str
    variant: str
    file_bytes: int | None
    same_top: float | None
    kl: float | None
    cosine: float | None
    load_seconds: float | None
    cold_start: Spread | None
    resident_bytes: int | None
    peak_bytes: int | None
    workloads: Mapping[str, Percentiles]


@dataclass(frozen=True)
class LatencyResults:
    """All that one run of `bench latency` found of an artifact.

    `gpu` is the one that engines ran on, None where none did.
    """

    artifact: str
    digest: str
    task: str
    level: str
    comparison: Comparison
    ratios: tuple[EngineRatio, ...]
    variants: tuple[Variant, ...]
    left_out: Mapping[str, str]
    energy: str | None
    gpu: str | None


def latency_results(fields: Fields) -> LatencyResults:
    """Read the fields of `bench latency`.

    Raises:
        InputError: a field is missing or not what it must be.
    """
    artifact = fields.inner("artifact")
    # Ratios may come last, after an interrupted run stopped.
    stopped = fields.missing("ratios") and not fields.flag("complete")
    return LatencyResults(
        artifact=artifact.text("name"),
        digest=artifact.text("digest"),
        task=artifact.text("task"),
        level=fields.text("level"),
        comparison=comparison(fields.inner("comparison")),
        ratios=() if stopped else engine_ratios(fields),
        variants=tuple(map(_variant, fields.listed("variants"))),
        left_out=fields.named_texts("left_out"),
        energy=fields.optional_text("energy"),
        gpu=None if fields.missing("gpu") else _gpu(fields.inner("gpu")),
    )


def _gpu(fields: Fields) -> str:
    return f"{fields.text('name')}, compute capability {fields.text('capability')}"


def _variant(fields: Fields) -> Variant:
    quality = fields.inner("quality")
    cold = "cold_start_seconds"
    return Variant(
        engine=fields.text("engine"),
        variant=fields.text("variant"),
        file_bytes=fields.optional_whole("file_bytes"),
        same_top=quality.optional_number("same_top"),
        kl=quality.optional_number("kl"),
        cosine=quality.optional_number("cosine"),
        load_seconds=fields.optional_number("load_seconds"),
        cold_start=None if fields.missing(cold) else spread(fields.inner(cold)),
        resident_bytes=fields.optional_whole("resident_bytes"),
        peak_bytes=fields.optional_whole("peak_bytes"),
        workloads={name: _percentiles(one) for name, one in fields.named("workloads").items()},
    )


def _percentiles(fields: Fields) -> Percentiles:
    return Percentiles(
        fields.positive("p50_ms"),
        fields.optional_number("p90_ms"),
        fields.optional_number("p99_ms"),
        fields.whole("calls"),
        fields.positive("texts_per_second"),
        fields.optional_number("joules_per_text"),
    )
