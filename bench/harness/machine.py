"""What a measurement was made on. A latency without it can't be compared with anything."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from distilroberta.bench.errors import BenchError
from distilroberta.runtime.execution.cpu_limit import usable_cpus

_PACKAGES = ("distilroberta-onnx", "onnxruntime", "numpy", "tokenizers")


@dataclass(frozen=True)
class Machine:
    """The processor, how much of it this process may use, and the software.

    `load` is the load average of the last minute when the measurement began, None where the system
    has none: anything far above 0 means that something else was running.
    """

    cpu: str
    cpus: int
    system: str
    python: str
    load: float | None
    packages: dict[str, str]

    def __str__(self) -> str:
        load = "" if self.load is None else f", load average {self.load:.1f} before the run"
        listed = ", ".join(f"{name} {found}" for name, found in self.packages.items())
        return f"{self.cpu}, {self.cpus} CPUs usable{load}\n{self.system}, {self.python}, {listed}"


def describe(packages: Sequence[str] = ()) -> Machine:
    """Describe this machine, with the versions of the runtime's packages and of further ones."""
    return Machine(
        cpu=_cpu(),
        cpus=usable_cpus(),
        system=f"{platform.system()} {platform.machine()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        load=round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        packages=dict(map(_version, (*_PACKAGES, *packages))),
    )


def _version(package: str) -> tuple[str, str]:
    # On a GPU another distribution brings onnxruntime.
    for name in (package, f"{package}-gpu"):
        try:
            return name, version(name)
        except PackageNotFoundError:
            continue
    raise BenchError(f"{package} is not installed")


def _cpu() -> str:
    # platform.processor() is empty on most Linux systems.
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return (names or [platform.processor()])[0] or "unknown processor"
