"""Joules, where the processor counts them: RAPL, through Linux's powercap.

Intel's processors since Sandy Bridge, and AMD's since Zen, count the energy of each package (all
its cores, caches and the memory controller, idle or busy). Linux shows the counters in
`/sys/class/powercap`: https://docs.kernel.org/power/powercap/powercap.html. Since CVE-2020-8694
only root may read them, unless the system's owner says otherwise. Virtual machines have none.

So what is told of an engine is the energy of whole packages while it alone was running. What they
take when idle is included, and memory modules, GPU and power supply are not.
"""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import NamedTuple

from distilroberta.bench.errors import BenchError
from distilroberta.bench.harness.interleave import Timed
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


def joules_per_text(
    meter: Meter, engine: Timed, workload: Workload, calls: int, *, warmup: int, rounds: int
) -> float:
    """Return the energy of a text in joules, the median of some rounds of one engine alone.

    Args:
        meter: reads the counters.
        engine: what runs; nothing else should.
        workload: what it is run on.
        calls: in a round; they should take much longer than the millisecond in which the counters
            are renewed.
        warmup: calls before each round that are not counted.
        rounds: how many.

    Raises:
        WorkerError: the engine failed.
        BenchError: the counters may not be read any more.
    """
    found = []
    for _ in range(rounds):
        engine.time(workload, warmup, 0)
        before = meter.read()
        engine.time(workload, 0, calls)
        found.append(meter.joules(before, meter.read()) / (calls * len(workload.texts)))
    return median(found)


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
