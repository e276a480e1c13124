"""Does a cell fit into the machine's memory? Asked before the machine is out of it.

Both models of a pair are loaded at once. On fill-mask, the usual export and PyTorch give logits for
every token: at 32 texts of 512 tokens and 50,265 words these are 3.3 GB, and a model's process was
seen to hold about 10 GB, three times as much: what the projection gives, its sum with the bias,
both rounded up by the allocator, and what the layers need beside them. Elsewhere a call needs
little beside the weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from distilroberta.bench.claim.models import FILL_MASK, OURS
from distilroberta.bench.harness.workload import Workload

_MEMINFO = Path("/proc/meminfo")
_FLOAT_BYTES = 4
_COPIES = 3


def available_bytes() -> int | None:
    """Return what new processes may use, `MemAvailable` of proc_meminfo(5); None without one."""
    try:
        lines = _MEMINFO.read_text("utf-8").splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(found[0]) * 1024 if found else None


def needed_bytes(
    workload: Workload, task: str, engine: str, vocabularies: Sequence[int], file_bytes: int
) -> int:
    """Estimate what both models of a pair hold while they run a workload.

    Args:
        workload: the texts.
        task: one of `models.TASKS`.
        engine: one of `models.ENGINES`.
        vocabularies: how many words each of the models has.
        file_bytes: the sum of both models' files.
    """
    if task != FILL_MASK or engine == OURS:
        return file_bytes
    tokens = len(workload.ids) * len(workload.ids[0])
    return file_bytes + _COPIES * _FLOAT_BYTES * tokens * sum(vocabularies)


def without_room(needed: Mapping[str, int], available: int | None) -> dict[str, str]:
    """Return why a workload can't be run, by its name, for those that need more than there is.

    Args:
        needed: bytes by workload name.
        available: bytes; None where it is not known, and then all are taken to fit.
    """
    if available is None:
        return {}
    return {
        name: f"needs about {_gigabytes(count)} GB, {_gigabytes(available)} GB are free"
        for name, count in needed.items()
        if count > available
    }


def _gigabytes(count: int) -> str:
    value = count / 1e9
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"
