"""Joules, where the processor counts them: RAPL, through Linux's powercap.

Intel's processors since Sandy Bridge, and AMD's since Zen, count the energy of each package (all
its cores, caches and the memory controller, idle or busy). Linux shows the counters in
`/sys/class/powercap`: https://docs.kernel.org/power/powercap/powercap.html. Since CVE-2020-8694
only root may read them, unless the system's owner says otherwise. Virtual machines have none.

So what is told of an engine is the energy of whole packages while it alone was at work. What they
take when idle is included, and memory modules, GPU and power supply are not.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from distilroberta.bench.errors import BenchError
from distilroberta.bench.harness.interleave import Key, Timed
from distilroberta.bench.harness.workload import Workload

_POWERCAP = Path("/sys/class/powercap")
# A zone of a package is `intel-rapl:0`, on AMD too; `intel-rapl:0:0` is a part of it.
_ZONES = "intel-rapl:[0-9]*"
_PACKAGE = "package"


class _Zone(NamedTuple):
    name: str
    counter: Path
    range: int  # microjoules; the counter then begins again at 0


class Meter:
    """The energy counters of all packages."""

    def __init__(self, root: Path = _POWERCAP) -> None:
        """Find them.

        Raises:
            BenchError: there are none, or they may not be read.
        """
        # Other zones of the same level count again what packages do: the whole platform (psys).
        self._zones = [
            zone
            for folder in sorted(root.glob(_ZONES))
            if folder.name.count(":") == 1 and (zone := _zone(folder)).name.startswith(_PACKAGE)
        ]
        if not self._zones:
            raise BenchError(f"this machine shows no energy counters: {root} has no intel-rapl")
        self.read()

    def __str__(self) -> str:
        return ", ".join(zone.name for zone in self._zones) + ", RAPL"

    def read(self) -> list[int]:
        """Return what each package's counter shows, in microjoules.

        Raises:
            BenchError: it may not be read.
        """
        return [int(_text(zone.counter)) for zone in self._zones]

    def joules(self, before: list[int], after: list[int]) -> float:
        """Return the energy of all packages between two readings, in joules.

        A counter may have begun again at 0, once at the most: it does so after minutes.
        """
        micro = 0
        for zone, start, end in zip(self._zones, before, after, strict=True):
            micro += end - start if end >= start else end - start + zone.range
        return micro / 1e6


class Energy(NamedTuple):
    """The joules of a text in each round by engine and workload, and why an engine has none."""

    joules: dict[Key, list[float]]
    failed: dict[str, str]


def measure(
    meter: Meter,
    engines: Sequence[Timed],
    workloads: Sequence[Workload],
    calls: Mapping[Key, int],
    *,
    warmup: int,
    rounds: int,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _: None,
    keep: Callable[[Mapping[Key, Sequence[float]]], object] = lambda _: None,
) -> Energy:
    """Measure the energy of a text in rounds from engine to engine, one at a time.

    The order is drawn anew for each round: what else takes energy, or how warm the processor is,
    changes over minutes, and is to meet all engines alike.

    Args:
        meter: reads the counters.
        engines: what runs; nothing else should.
        workloads: what they are run on.
        calls: in a round, by engine and workload; what has none is not run. They should take much
            longer than the millisecond in which the counters are renewed.
        warmup: calls before each round that are not counted.
        rounds: how many.
        seed: of the order in each round.
        progress: called with what is done.
        keep: called after each round with the joules so far.
    """
    order = random.Random(seed)  # noqa: S311 - an order, no secret
    joules: dict[Key, list[float]] = {key: [] for key in calls}
    failed: dict[str, str] = {}
    for number in range(1, rounds + 1):
        for workload in workloads:
            progress(f"energy, round {number} of {rounds}, {workload.name}")
            for engine in order.sample(list(engines), len(engines)):
                key = engine.name, workload.name
                if engine.name in failed or key not in calls:
                    continue
                try:
                    joules[key].append(_round(meter, engine, workload, calls[key], warmup))
                except BenchError as error:
                    failed[engine.name] = str(error)
        keep(joules)
    kept = {key: found for key, found in joules.items() if key[0] not in failed}
    return Energy(kept, failed)


def _round(meter: Meter, engine: Timed, workload: Workload, calls: int, warmup: int) -> float:
    engine.time(workload, warmup, 0)
    before = meter.read()
    engine.time(workload, 0, calls)
    return meter.joules(before, meter.read()) / (calls * len(workload.texts))


def _zone(folder: Path) -> _Zone:
    spread = int(_text(folder / "max_energy_range_uj"))
    return _Zone(_text(folder / "name"), folder / "energy_uj", spread)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except PermissionError as error:
        raise BenchError(f"the energy counters may not be read: {path} is for root only") from error
    except OSError as error:
        raise BenchError(f"the energy counters can't be read: {error}") from error
