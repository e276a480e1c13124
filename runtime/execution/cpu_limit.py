"""How many CPUs this process may use, which can be fewer than the machine has.

Two limits count. The affinity mask names the CPUs the process may run on (taskset, cpusets). The
quota of a control group allows it so much time of CPUs in a period (`docker run --cpus`, a limit of
Kubernetes) and leaves all of them visible: as many threads as there are CPUs would use the time up
at once and wait for the next period. See the Linux kernel's Documentation/admin-guide/cgroup-v2.rst
(`cpu.max`) and Documentation/scheduler/sched-bwc.rst (`cpu.cfs_quota_us`).
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_ROOT = Path("/")
_GROUPS = "proc/self/cgroup"
_MOUNTS = "proc/self/mountinfo"


def usable_cpus(root: Path = _ROOT) -> int:
    """Return the number of CPUs this process may use, at least 1.

    It is the smaller of the affinity mask's CPUs and the quota of the control groups, rounded up.

    Args:
        root: the folder that holds `proc` and `sys`.
    """
    allowed = _affinity()
    quota = cgroup_quota(root)
    return allowed if quota is None else max(1, min(allowed, math.ceil(quota)))


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def cgroup_quota(root: Path = _ROOT) -> float | None:
    """Return the CPU time a second that the control groups of this process allow, in CPUs.

    A group can't use more than the groups it lies in: it is the smallest limit on the path of
    `/proc/self/cgroup`, in version 1 and 2. None where nothing limits it, or nothing can be read.

    Args:
        root: the folder that holds `proc` and `sys`.
    """
    limits = [
        limit
        for folder, is_v2 in _folders(root)
        if (limit := _limit_v2(folder) if is_v2 else _limit_v1(folder)) is not None
    ]
    return min(limits, default=None)


def _folders(root: Path) -> Iterator[tuple[Path, bool]]:
    """Yield the folders of this process's group and of those around it, and if they are v2."""
    mounts = list(_cpu_mounts(root))
    for line in _lines(root / _GROUPS):
        hierarchy, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        is_v2 = hierarchy == "0" and not controllers
        if not is_v2 and "cpu" not in controllers.split(","):
            continue
        for mounted, inside, mount_is_v2 in mounts:
            if mount_is_v2 == is_v2:
                yield from ((folder, is_v2) for folder in _upwards(mounted, inside, path))


def _cpu_mounts(root: Path) -> Iterator[tuple[Path, str, bool]]:
    """Yield where control groups are mounted, which group each mount shows, and if it is v2.

    Fields of `/proc/self/mountinfo`: see proc_pid_mountinfo(5).
    """
    for line in _lines(root / _MOUNTS):
        before, _, after = line.partition(" - ")
        fields, (kind, *rest) = before.split(), after.split() or [""]
        is_v2 = kind == "cgroup2"
        if len(fields) > 4 and (is_v2 or (kind == "cgroup" and "cpu" in rest[-1].split(","))):
            yield root / fields[4].lstrip("/"), fields[3], is_v2


def _upwards(mounted: Path, inside: str, path: str) -> Iterator[Path]:
    # In a container the mount shows the container's own group as its root. Where the group of
    # this process does not lie in it, as after a namespace was entered, the root is the best known.
    group = PurePosixPath(path)
    below = group.relative_to(inside) if group.is_relative_to(inside) else PurePosixPath()
    if ".." in below.parts:
        below = PurePosixPath()
    yield from (mounted / part for part in (below, *below.parents))


def _limit_v2(folder: Path) -> float | None:
    quota, _, period = next(iter(_lines(folder / "cpu.max")), "max").partition(" ")
    return _ratio(quota, period or "100000")


def _limit_v1(folder: Path) -> float | None:
    quota = next(iter(_lines(folder / "cpu.cfs_quota_us")), "-1")
    return _ratio(quota, next(iter(_lines(folder / "cpu.cfs_period_us")), "100000"))


def _ratio(quota: str, period: str) -> float | None:
    # "max" in version 2 and -1 in version 1 mean that there is no limit.
    if not quota.isdecimal() or not period.isdecimal() or int(quota) == 0 or int(period) == 0:
        return None
    return int(quota) / int(period)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return []
