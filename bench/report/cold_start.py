"""The results of `bench cold-start`: a fresh process to its first answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from distilroberta.bench.harness.interleave import Spread
from distilroberta.bench.report.comparison import spread
from distilroberta.bench.report.fields import Fields


@dataclass(frozen=True)
class Started:
    """Seconds of an engine's processes: in all, and the median of each stage."""

    seconds: Spread
    stages: Mapping[str, float]


@dataclass(frozen=True)
class ColdStartResults:
    """All that one run of `bench cold-start` found.

    `speed` is how many times as fast ours starts as transformers, None where that was not timed.
    """

    tokens: int
    engines: Mapping[str, Started]
    refused: Mapping[str, str]
    speed: Spread | None


def cold_start_results(fields: Fields) -> ColdStartResults:
    """Read the fields of `bench cold-start`.

    Raises:
        InputError: a field is missing or not what it must be.
    """
    speed = "times_as_fast_as_transformers"
    return ColdStartResults(
        tokens=fields.whole("tokens"),
        engines={name: _started(one) for name, one in fields.named("engines").items()},
        refused=fields.named_texts("refused"),
        speed=None if fields.missing(speed) else spread(fields.inner(speed)),
    )


def _started(fields: Fields) -> Started:
    stages: dict[str, list[float]] = {}
    for process in fields.listed("rounds"):
        found = process.inner("stages")
        for name in found.tree:
            stages.setdefault(name, []).append(found.number(name))
    medians = {name: median(seconds) for name, seconds in stages.items()}
    return Started(spread(fields.inner("seconds")), medians)
