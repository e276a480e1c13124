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
from distilroberta.bench.latency.artifact_starts import Setup, Start
from distilroberta.bench.latency.percentiles import Percentiles
from distilroberta.runtime.execution.gpu import Gpu
from distilroberta.runtime.manifest import Agreement


@dataclass(frozen=True)
class Measured:
    """What is known so far.

    `setups` are the variant and the provider of each engine of the comparison, `quality` is what
    the manifest says of each variant. `starts` are the fresh processes of each engine, `joules`
    those of a text in each round by engine and workload. `left_out` says why an engine or an energy
    is not there. `reference` names the engine whose answers are right and whose speed is 1. `gpu`
    is the one that engines ran on, None where none did.
    """

    comparison: Comparison
    setups: Mapping[str, Setup]
    quality: Mapping[str, Agreement]
    reference: str
    starts: Mapping[str, Sequence[Start]] = field(default_factory=dict)
    joules: Mapping[Key, Sequence[float]] = field(default_factory=dict)
    meter: str | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)
    gpu: Gpu | None = None

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

    def load_spread(self, engine: str) -> Spread | None:
        """Return the seconds its fresh processes took to load; None without any."""
        found = self.starts.get(engine)
        return Spread.of([one.loaded for one in found]) if found else None

    def cold_start(self, engine: str) -> Spread | None:
        """Return the seconds its fresh processes took to the first answer; None without any."""
        found = self.starts.get(engine)
        return Spread.of([one.total for one in found]) if found else None

    def load_seconds(self, engine: EngineResult) -> float | None:
        """Return the median of these, or the one load of the engine that was timed."""
        found = self.load_spread(engine.spec.name)
        if found is not None:
            return found.median
        return engine.loaded.seconds if engine.loaded else None

    def joules_spread(self, engine: str, workload: str) -> Spread | None:
        """Return the joules of a text over the rounds; None where they were not measured."""
        found = self.joules.get((engine, workload))
        return Spread.of(found) if found else None

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
            "warning": ratio_interval.warning(ratio),
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


def not_sure(measured: Measured) -> list[str]:
    """Say which ratios have too few rounds, or differ from 1 by less than they are unsure.

    Those of engines that are not told apart are left to `not_told_apart`.
    """
    said: dict[str, None] = {}
    for engine, baseline, workload, ratio in _pairs(measured):
        warning, verdict = ratio_interval.warning(ratio), ratio_interval.verdict(ratio)
        if warning and verdict == ratio_interval.UNCLEAR:  # the same for all of as many rounds
            said[warning] = None
        elif warning and verdict != ratio_interval.SAME:
            said[f"{engine} beside {baseline} at {workload}: {warning}"] = None
    return list(said)


def single_loads(measured: Measured) -> list[str]:
    """Say whose load seconds are of one process, since no fresh ones were started."""
    names = [
        engine.spec.name
        for engine in measured.comparison.engines
        if engine.loaded and measured.load_spread(engine.spec.name) is None
    ]
    if not names:
        return []
    return [
        f"load seconds are of one start, that of the process that was timed: {', '.join(names)}"
    ]


def warnings(measured: Measured) -> list[str]:
    """Say what disturbed the run, and what its figures do not tell."""
    return [
        *measured.comparison.warnings,
        *not_sure(measured),
        *not_told_apart(measured),
        *single_loads(measured),
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
        "gpu": asdict(measured.gpu) if measured.gpu else None,
        "reference": measured.reference,
        "comparison": tables.measured(measured.comparison),
        "ratios": ratios(measured),
        "variants": [_variant(measured, engine) for engine in measured.comparison.engines],
        "left_out": dict(measured.left_out),
        "energy": measured.meter,
    }


def _variant(measured: Measured, engine: EngineResult) -> dict[str, Any]:
    name = engine.spec.name
    setup = measured.setups[name]
    quality = measured.quality[setup.variant]
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
        "load_seconds": measured.load_seconds(engine),
        "load_spread": _as_dict(measured.load_spread(name)),
        "cold_start_seconds": _as_dict(measured.cold_start(name)),
        "resident_bytes": engine.resident_bytes,
        "peak_bytes": engine.peak_bytes,
        "workloads": {
            workload.name: {
                "p50_ms": found.p50,
                "p90_ms": found.p90,
                "p99_ms": found.p99,
                "calls": found.calls,
                "texts_per_second": measured.texts_per_second(engine, workload),
                "joules_per_text": joules.median if joules else None,
                "joules_spread": _as_dict(joules),
            }
            for workload in measured.comparison.workloads
            if (found := measured.calls(engine, workload))
            for joules in [measured.joules_spread(name, workload.name)]
        },
    }


def _as_dict(spread: Spread | None) -> dict[str, float] | None:
    return None if spread is None else asdict(spread)
