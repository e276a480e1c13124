"""What pytest-benchmark writes down of the machine, for `pytest bench/ --benchmark-only`.

The hook stands here, not among the suites: with `--benchmark-compare` it is asked before anything
is collected, when pytest has read the conftest files of the named folder and of no folder below it.

A storage (`--benchmark-storage`) should lie in the folder that pytest is started in, as it does by
default. Where it lies elsewhere, pytest-benchmark 5.3.1 fails when it has to warn of another
machine (its issue 217).
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from distilroberta.bench.harness import machine


def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    """Add our own description; leave out what is different in every run.

    pytest-benchmark warns when a run is compared with one of another machine. With the load or the
    clock's frequency of the moment in it, that warning would always come.
    """
    described = asdict(machine.describe())
    del described["load"]
    machine_info["distilroberta"] = described
    for name in ("hz_actual", "hz_actual_friendly"):
        machine_info["cpu"].pop(name, None)
