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


class Watch:
    """What others used of the machine from the time it is made until it is asked."""

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

    def warnings(self, threads: int) -> list[str]:
        """Say what took time from a measurement that needs so many threads; nothing if nothing did.

        Where the system does not count, nothing can be said either.
        """
        (before, own, start), after = self._start, self._counts()
        seconds = self._clock() - start
        if before is None or after is None or seconds <= 0:
            return []
        others = max(0.0, after.used - before.used - (self._own() - own)) / seconds
        stolen = (after.stolen - before.stolen) / seconds
        said = []
        if others > after.cpus - threads * (1 - _TOLERATED):
            said.append(
                f"other processes used {others:.1f} of {after.cpus} CPUs while this was measured"
            )
        if stolen > threads * _TOLERATED:
            said.append(f"the machine's host withheld {stolen:.1f} CPUs while this was measured")
        return said
