"""Had the machine anything else to do while it was measured?

The kernel counts the CPU time of all processes (`/proc/stat`, see proc_stat(5)); what ours did not
use, others did. On a virtual machine it also counts what the host gave to others (`steal`). In a
container the counts are those of the whole machine, which has more CPUs than the container may use:
what others use there matters only where too little is left for our threads.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_STAT = Path("/proc/stat")
# Of the CPUs that our threads need. A progress bar and a shell take less.
_TOLERATED = 0.05
_SHORTEST_SECONDS = 5.0
# Places after `cpu` in a line of /proc/stat. Time of guests is in the first two already.
_BUSY = (0, 1, 2, 5, 6)
_STEAL = 7


@dataclass(frozen=True)
class CpuTimes:
    """Seconds of CPU since the machine started: used by all processes, and kept by its host."""

    used: float
    stolen: float
    cpus: int


def read_stat() -> CpuTimes | None:
    """Read the kernel's counts; None where there are none."""
    try:
        lines = _STAT.read_text("utf-8").splitlines()
    except OSError:
        return None
    fields = [int(field) for field in lines[0].split()[1:]]
    ticks = os.sysconf("SC_CLK_TCK")
    cpus = sum(line.startswith("cpu") for line in lines) - 1
    return CpuTimes(sum(fields[place] for place in _BUSY) / ticks, fields[_STEAL] / ticks, cpus)


def own_seconds() -> float:
    """Return the CPU time of this process and of its children that have ended."""
    return sum(os.times()[:4])


@dataclass(frozen=True)
class _Lap:
    # CPUs on average over it.
    others: float
    stolen: float
    cpus: int


class Watch:
    """What others used of the machine from the time it is made, lap by lap."""

    def __init__(
        self,
        own: Callable[[], float] = own_seconds,
        *,
        counts: Callable[[], CpuTimes | None] = read_stat,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin to watch.

        Args:
            own: the seconds of CPU that all processes of the measurement have used so far.
            counts: reads the kernel's counts.
            clock: seconds.
        """
        self._own, self._counts, self._clock = own, counts, clock
        self._start = counts(), own(), clock()
        self._laps: list[_Lap] = []

    def lap(self) -> None:
        """End a lap: others that come for a short time are not lost in the mean of a long run.

        One of less than some seconds goes on, since the kernel counts in steps.
        """
        found = self._since()
        if found is not None and found[1] >= _SHORTEST_SECONDS:
            self._laps.append(found[0])
            self._start = self._counts(), self._own(), self._clock()

    def _since(self) -> tuple[_Lap, float] | None:
        # The lap that goes on, and its seconds.
        (before, own, start), after = self._start, self._counts()
        used, seconds = self._own() - own, self._clock() - start
        if before is None or after is None or seconds <= 0:
            return None
        others = max(0.0, after.used - before.used - used) / seconds
        return _Lap(others, (after.stolen - before.stolen) / seconds, after.cpus), seconds

    def warnings(self, threads: int) -> list[str]:
        """Say what took time from a measurement that needs so many threads; nothing if nothing did.

        The lap that goes on counts up to now, unless it is too short and others were before it.
        """
        since = self._since()
        laps = [*self._laps]
        if since is not None and (since[1] >= _SHORTEST_SECONDS or not laps):
            laps.append(since[0])
        if not laps:
            return ["this system does not tell whether others used its CPUs meanwhile"]
        tolerated = threads * _TOLERATED
        busy = [lap.others for lap in laps if lap.others > lap.cpus - threads + tolerated]
        stolen = [lap.stolen for lap in laps if lap.stolen > tolerated]
        cpus, count = laps[-1].cpus, len(laps)
        said = []
        if busy:
            said.append(
                f"other processes used up to {max(busy):.1f} of {cpus} CPUs while this was "
                f"measured{_share(len(busy), count)}"
            )
        if stolen:
            said.append(
                f"the machine's host withheld up to {max(stolen):.1f} CPUs while this was "
                f"measured{_share(len(stolen), count)}"
            )
        return said


def _share(found: int, laps: int) -> str:
    return f", in {found} of {laps} rounds" if laps > 1 else ""
