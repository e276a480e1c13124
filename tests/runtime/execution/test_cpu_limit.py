"""The number of CPUs that a process may use, on trees of /proc and /sys as kernels have them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from distilroberta.runtime.execution import cpu_limit
from distilroberta.runtime.execution.cpu_limit import cgroup_quota, usable_cpus

V1_MOUNT = "34 24 0:29 {inside} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
V2_MOUNT = "31 23 0:28 {inside} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"
OTHERS = (
    "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
    "35 24 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
)


class Machine:
    """A folder in place of /."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("proc/self/mountinfo", OTHERS)

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def v1(self, group: str, inside: str = "/") -> None:
        self.write("proc/self/mountinfo", OTHERS + V1_MOUNT.format(inside=inside))
        self.write("proc/self/cgroup", f"5:memory:/x\n4:cpu,cpuacct:{group}\n1:name=systemd:/\n")

    def v2(self, group: str, inside: str = "/") -> None:
        self.write("proc/self/mountinfo", OTHERS + V2_MOUNT.format(inside=inside))
        self.write("proc/self/cgroup", f"0::{group}\n")

    def quota_v1(self, group: str, quota: int, period: int = 100_000) -> None:
        folder = f"sys/fs/cgroup/cpu,cpuacct{group}"
        self.write(f"{folder}/cpu.cfs_quota_us", f"{quota}\n")
        self.write(f"{folder}/cpu.cfs_period_us", f"{period}\n")

    def quota_v2(self, group: str, text: str) -> None:
        self.write(f"sys/fs/cgroup{group}/cpu.max", f"{text}\n")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine of 16 CPUs without control groups."""
    monkeypatch.setattr(cpu_limit, "_affinity", lambda: 16)
    return Machine(tmp_path)


def test_no_control_groups(machine: Machine) -> None:
    assert cgroup_quota(machine.root) is None
    assert usable_cpus(machine.root) == 16


def test_nothing_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_limit, "_affinity", lambda: 3)
    assert usable_cpus(tmp_path / "absent") == 3


@pytest.mark.parametrize(
    ("text", "cpus"),
    [
        ("max 100000", 16),
        ("200000 100000", 2),
        ("250000 100000", 3),
        ("10000 100000", 1),
        ("50000 20000", 3),
        ("400000", 4),
        ("6400000 100000", 16),
        ("", 16),
        ("nonsense", 16),
        ("0 100000", 16),
        ("100000 0", 16),
    ],
)
def test_version_2(machine: Machine, text: str, cpus: int) -> None:
    machine.v2("/app")
    machine.quota_v2("/app", text)
    assert usable_cpus(machine.root) == cpus


@pytest.mark.parametrize(
    ("quota", "period", "cpus"),
    [(-1, 100_000, 16), (150_000, 100_000, 2), (300_000, 100_000, 3), (5_000, 100_000, 1)],
)
def test_version_1(machine: Machine, quota: int, period: int, cpus: int) -> None:
    machine.v1("/docker/abc")
    machine.quota_v1("/docker/abc", quota, period)
    assert usable_cpus(machine.root) == cpus


@pytest.mark.parametrize("smallest", ["", "/pods", "/pods/pod", "/pods/pod/box"])
def test_the_smallest_limit_on_the_path_counts(machine: Machine, smallest: str) -> None:
    machine.v2("/pods/pod/box")
    for group in ("", "/pods", "/pods/pod", "/pods/pod/box"):
        machine.quota_v2(group, "200000 100000" if group == smallest else "700000 100000")
    assert cgroup_quota(machine.root) == 2


def test_a_group_beside_the_path_does_not_count(machine: Machine) -> None:
    machine.v2("/pods/mine")
    machine.quota_v2("/pods/other", "100000 100000")
    assert cgroup_quota(machine.root) is None


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_in_a_container_the_mount_shows_its_own_group(machine: Machine, version: str) -> None:
    """Docker without a namespace of its own: the path names the host's tree, the mount does not."""
    getattr(machine, version)("/docker/abc", inside="/docker/abc")
    if version == "v1":
        machine.quota_v1("", 300_000)
    else:
        machine.quota_v2("", "300000 100000")
    assert usable_cpus(machine.root) == 3


def test_a_group_outside_the_mount(machine: Machine) -> None:
    machine.v2("/../other", inside="/docker/abc")
    machine.quota_v2("", "300000 100000")
    assert usable_cpus(machine.root) == 3


def test_both_versions_at_once(machine: Machine) -> None:
    machine.v1("/a")
    machine.quota_v1("/a", 200_000)
    mounts = OTHERS + V1_MOUNT.format(inside="/") + V2_MOUNT.format(inside="/")
    machine.write("proc/self/mountinfo", mounts)
    machine.write("proc/self/cgroup", "4:cpu,cpuacct:/a\n0::/b\n")
    machine.quota_v2("/b", "500000 100000")
    assert cgroup_quota(machine.root) == 2


def test_fewer_cpus_than_the_quota(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_limit, "_affinity", lambda: 1)
    machine.v2("/app")
    machine.quota_v2("/app", "800000 100000")
    assert usable_cpus(machine.root) == 1


def test_of_this_machine() -> None:
    assert 1 <= usable_cpus() <= len(os.sched_getaffinity(0))
