"""What `peers` measured of a task at a level, and how it is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from distilroberta.bench.harness import ratio_interval, tables
from distilroberta.bench.harness.suite import Comparison
from distilroberta.bench.limit import machine_limit
from distilroberta.bench.limit.machine_limit import Limits
from distilroberta.bench.peers.ratios import PeerRatio

# Arguments of an engine that say where its files were, which are gone after the run.
_PATHS = frozenset({"artifact", "checkpoint", "file", "folder", "graph", "head", "model"})


@dataclass(frozen=True)
class Measured:
    """What was measured of one task at one level.

    `checked` are the names of the workloads that the answers were compared on before.
    """

    task: str
    level: str
    comparison: Comparison
    checked: tuple[str, ...]
    ratios: list[PeerRatio]
    limits: Limits | None

    @property
    def is_empty(self) -> bool:
        """Whether no engine was timed."""
        return self.rounds == 0

    @property
    def rounds(self) -> int:
        """How many rounds are done."""
        found = (times for one in self.comparison.engines for times in one.rounds.values())
        return max(map(len, found), default=0)


def warnings(found: Sequence[Measured]) -> list[str]:
    """Say what disturbed the run, and where fewer rounds were done than an interval takes."""
    told = []
    for one in found:
        said = list(one.comparison.warnings)
        if one.ratios and one.rounds < ratio_interval.ENOUGH_ROUNDS:
            few = max((ratio.ratio for ratio in one.ratios), key=lambda ratio: ratio.rounds)
            said += filter(None, [ratio_interval.warning(few)])
        told += [f"{one.task}, {one.level}: {warning}" for warning in said]
    return told


def to_json(measured: Measured) -> dict[str, Any]:
    """Return what was measured, as what `json.dumps` takes."""
    comparison, limits = measured.comparison, measured.limits
    fields = tables.measured(comparison)
    settings = {one.spec.name: _settings(one.spec.arguments) for one in comparison.engines}
    engines = [{**one, "settings": settings[one["name"]]} for one in fields["engines"]]
    return {
        "task": measured.task,
        "level": measured.level,
        **fields,
        "engines": engines,
        "checked": list(measured.checked),
        "ratios": [asdict(ratio) for ratio in measured.ratios],
        **({"machine_limit": machine_limit.to_json(limits)} if limits else {}),
    }


def _settings(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if name not in _PATHS}
