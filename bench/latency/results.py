"""What `latency` knows of an artifact's variants, and how it is kept."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from typing import Any

from distilroberta.bench.harness import ratio_interval, tables
from distilroberta.bench.harness.interleave import Key, Spread
from distilroberta.bench.harness.ratio_interval import Ratio
from distilroberta.bench.harness.suite import Comparison, EngineResult
from distilroberta.bench.harness.workload import Workload
from distilroberta.bench.latency import percentiles
from distilroberta.bench.latency.artifact_starts import Setup
from distilroberta.bench.latency.percentiles import Percentiles
from distilroberta.runtime.manifest import Agreement


@dataclass(frozen=True)
class Measured:
    """What is known so far.

    `setups` are the variant and the provider of each engine of the comparison, `quality` is what
    the manifest says of each variant. `starts` are the seconds of fresh processes by engine,
    `joules` those of a text by engine and workload. `left_out` says why an engine or an energy is
    not there. `reference` names the engine whose answers are right and whose speed is 1.
    """

    comparison: Comparison
    setups: Mapping[str, Setup]
    quality: Mapping[str, Agreement]
    reference: str
    starts: Mapping[str, Sequence[float]] = field(default_factory=dict)
    joules: Mapping[Key, float] = field(default_factory=dict)
    meter: str | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)

    def engine(self, name: str) -> EngineResult:
        """Return what was measured of an engine."""
        return next(one for one in self.comparison.engines if one.spec.name == name)

    def calls(self, engine: EngineResult, workload: Workload) -> Percentiles | None:
        """Return the percentiles of all timed calls in milliseconds; None without any."""
        found = list(chain.from_iterable(engine.calls.get(workload.name, [])))
        return percentiles.of(found) if found else None

    def texts_per_second(self, engine: EngineResult, workload: Workload) -> float | None:
        """Return how many texts all timed calls answered, divided by the time they took."""
        found = list(chain.from_iterable(engine.calls.get(workload.name, [])))
        return len(workload.texts) * len(found) / (sum(found) / 1e3) if found else None

    def ratio(self, engine: str, baseline: str, workload: Workload) -> Ratio | None:
        """Return how many times as fast one engine is as another; None without both."""
        fast = self.comparison.rounds(engine, workload.name)
        slow = self.comparison.rounds(baseline, workload.name)
        return ratio_interval.of(slow, fast) if fast and slow else None


def without_missing_providers(comparison: Comparison, setups: Mapping[str, Setup]) -> Comparison:
    """Leave out the engines of a provider other than the CPU that could not be loaded."""
    engines = tuple(one for one in comparison.engines if not _is_missing(one, setups))
    return replace(comparison, engines=engines)


def missing_providers(comparison: Comparison, setups: Mapping[str, Setup]) -> dict[str, str]:
    """Return why these could not be."""
    return {
        one.spec.name: one.refused or "" for one in comparison.engines if _is_missing(one, setups)
    }


def _is_missing(engine: EngineResult, setups: Mapping[str, Setup]) -> bool:
    return engine.loaded is None and setups[engine.spec.name].provider != "cpu"


def ratios(measured: Measured) -> list[dict[str, Any]]:
    """Return every engine's ratio to every other one listed before it, for each workload."""
    return [
        {
            "engine": engine,
            "baseline": baseline,
            "workload": workload,
            "ratio": asdict(ratio),
            "verdict": ratio_interval.verdict(ratio),
        }
        for engine, baseline, workload, ratio in _pairs(measured)
    ]


def not_told_apart(measured: Measured) -> list[str]:
    """Say which two engines' difference is smaller than the spread, and for which texts."""
    alike: dict[tuple[str, str], list[str]] = {}
    for engine, baseline, workload, ratio in _pairs(measured):
        if ratio_interval.verdict(ratio) == ratio_interval.SAME:
            said = f"{workload} ({ratio.estimate:.2f} times, {ratio.low:.2f}-{ratio.high:.2f})"
            alike.setdefault((baseline, engine), []).append(said)
    return [
        f"{baseline} and {engine} are not told apart in speed at {', '.join(said)}"
        for (baseline, engine), said in alike.items()
    ]


def warnings(measured: Measured) -> list[str]:
    """Say what disturbed the run, and what its figures do not tell."""
    return [
        *measured.comparison.warnings,
        *ratio_interval.few_rounds(measured.comparison.plan.rounds),
        *not_told_apart(measured),
    ]


def _pairs(measured: Measured) -> Iterator[tuple[str, str, str, Ratio]]:
    names = [engine.spec.name for engine in measured.comparison.engines]
    for baseline, engine in itertools.combinations(names, 2):
        for workload in measured.comparison.workloads:
            ratio = measured.ratio(engine, baseline, workload)
            if ratio is not None:
                yield engine, baseline, workload.name, ratio


def to_json(measured: Measured) -> dict[str, Any]:
    """Return what was measured, as what `json.dumps` takes.

    Times are milliseconds or seconds as their names say, sizes bytes, energies joules.
    """
    return {
        "reference": measured.reference,
        "comparison": tables.measured(measured.comparison),
        "variants": [_variant(measured, engine) for engine in measured.comparison.engines],
        "left_out": dict(measured.left_out),
        "energy": measured.meter,
    }


def _variant(measured: Measured, engine: EngineResult) -> dict[str, Any]:
    name = engine.spec.name
    setup = measured.setups[name]
    quality = measured.quality[setup.variant]
    starts = measured.starts.get(name)
    return {
        "engine": name,
        **setup._asdict(),
        "file_bytes": engine.spec.file_bytes,
        "quality": {
            "same_top": quality.same_top,
            "kl": quality.kl,
            "cosine": quality.cosine,
            "rows": quality.rows,
        },
        "load_seconds": engine.loaded.seconds if engine.loaded else None,
        "cold_start_seconds": asdict(Spread.of(starts)) if starts else None,
        "resident_bytes": engine.resident_bytes,
        "peak_bytes": engine.peak_bytes,
        "workloads": {
            workload.name: {
                "p50_ms": found.p50,
                "p90_ms": found.p90,
                "p99_ms": found.p99,
                "calls": found.calls,
                "texts_per_second": measured.texts_per_second(engine, workload),
                "joules_per_text": measured.joules.get((name, workload.name)),
            }
            for workload in measured.comparison.workloads
            if (found := measured.calls(engine, workload))
        },
    }
