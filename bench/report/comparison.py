"""What every comparison of engines holds: the plan, the workloads and the engines' times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from distilroberta.bench.harness import ratio_interval
from distilroberta.bench.harness.interleave import Spread
from distilroberta.bench.harness.ratio_interval import Ratio
from distilroberta.bench.harness.workload import Shape
from distilroberta.bench.report.fields import Fields

# How an engine of this project is called, where others run beside it.
_OURS = "ours"


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one engine on one workload: each round, and their median and quartiles."""

    rounds: tuple[float, ...]
    spread: Spread


@dataclass(frozen=True)
class Engine:
    """What was measured of an engine. Sizes are bytes; None is what was not measured.

    `refused` says why it was not timed at all, `failed` by workload why it could not do that one.
    """

    name: str
    file_bytes: int | None
    load_seconds: float | None
    resident_bytes: int | None
    peak_bytes: int | None
    cosine: float | None
    refused: str | None
    failed: Mapping[str, str]
    times: Mapping[str, Timing]

    @property
    def ours(self) -> bool:
        """Whether it is this project's."""
        return is_ours(self.name)


@dataclass(frozen=True)
class Comparison:
    """Engines that were timed in the same rounds.

    `checked` names the inputs that answers were compared on before, None where a file does not say.
    """

    plan: Mapping[str, Any]
    workloads: Mapping[str, Shape]
    engines: tuple[Engine, ...]
    checked: tuple[str, ...] | None

    def engine(self, name: str) -> Engine | None:
        """Return an engine by name, None where there is none."""
        return next((one for one in self.engines if one.name == name), None)


@dataclass(frozen=True)
class EngineRatio:
    """How many times as fast an engine is as a baseline, on one workload.

    `warning` says why that is to be taken with care, None where it is not.
    """

    engine: str
    baseline: str
    workload: str
    ratio: Ratio
    verdict: str
    warning: str | None

    @property
    def doubtful(self) -> bool:
        """Whether its figure needs a mark: one that shows no difference says so already."""
        return self.warning is not None and self.verdict != ratio_interval.SAME


def is_ours(name: str) -> bool:
    """Return whether an engine of this name is this project's."""
    return name.split()[:1] == [_OURS]


def spread(fields: Fields) -> Spread:
    """Read a median with its quartiles."""
    found = Spread(fields.positive("median"), fields.positive("low"), fields.positive("high"))
    if not found.low <= found.median <= found.high:
        raise fields.wrong("median", "between 'low' and 'high'")
    return found


def ratio(fields: Fields) -> Ratio:
    """Read a ratio with its interval."""
    found = Ratio(
        fields.positive("estimate"),
        fields.positive("low"),
        fields.positive("high"),
        fields.whole("rounds"),
    )
    if not found.rounds:
        raise fields.wrong("rounds", "1 or more")
    if not found.low <= found.estimate <= found.high:
        raise fields.wrong("estimate", "between 'low' and 'high'")
    return found


def optional_ratio(fields: Fields, name: str) -> Ratio | None:
    """Read a ratio that may not have been measured."""
    return None if fields.missing(name) else ratio(fields.inner(name))


def engine_ratios(fields: Fields) -> tuple[EngineRatio, ...]:
    """Read the ratios of engines beside one another."""
    return tuple(
        EngineRatio(
            one.text("engine"),
            one.text("baseline"),
            one.text("workload"),
            ratio(one.inner("ratio")),
            one.text("verdict"),
            one.optional_text("warning"),
        )
        for one in fields.listed("ratios")
    )


def comparison(fields: Fields) -> Comparison:
    """Read a comparison.

    Raises:
        InputError: a field is missing or not what it must be.
    """
    workloads = {one.text("name"): _shape(one) for one in fields.listed("workloads")}
    engines = tuple(_engine(one, workloads) for one in fields.listed("engines"))
    plan = {} if fields.missing("plan") else dict(fields.inner("plan").tree)
    checked = None if fields.missing("checked") else fields.texts("checked")
    return Comparison(plan, workloads, engines, checked)


def _shape(fields: Fields) -> Shape:
    shape = Shape(fields.whole("rows"), fields.whole("tokens"))
    if not all(shape):
        raise fields.wrong("tokens", "1 or more, as 'rows'")
    return shape


def _engine(fields: Fields, workloads: Mapping[str, Shape]) -> Engine:
    times = fields.named("workloads")
    for name in times:
        if name not in workloads:
            raise fields.wrong("workloads", "among the comparison's workloads")
    resident = fields.optional_whole("resident_bytes_after")
    return Engine(
        name=fields.text("name"),
        file_bytes=fields.optional_whole("file_bytes"),
        load_seconds=fields.optional_number("load_seconds"),
        resident_bytes=(
            fields.optional_whole("resident_bytes_loaded") if resident is None else resident
        ),
        peak_bytes=fields.optional_whole("peak_bytes"),
        cosine=fields.optional_number("cosine"),
        refused=fields.optional_text("refused"),
        failed=fields.named_texts("failed"),
        times={
            name: Timing(one.numbers("rounds_ms"), spread(one.inner("ms")))
            for name, one in times.items()
            if not one.missing("ms")
        },
    )
