"""What a command costs: seconds, seconds of CPU, and the most memory its process had.

    python -m distilroberta.bench.harness.process_cost COMMAND...

writes them as JSON. The command is started by a small process of its own, because on Linux a
process counts the memory of the one that started it into its own peak (`setmax_mm_hiwater_rss` in
`exec_mmap`), and who measures may have loaded PyTorch.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from distilroberta.bench.errors import BenchError

_MODULE = "distilroberta.bench.harness.process_cost"
_LAST_LINES = 3


@dataclass(frozen=True)
class ProcessCost:
    """What a process took; `peak_bytes` is the most memory it had in RAM, mapped files included."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int


def of(command: Sequence[str]) -> ProcessCost:
    """Run a command and return what it cost.

    Raises:
        BenchError: it failed, or this system does not tell what a process took.
    """
    if not hasattr(os, "wait4"):
        raise BenchError("this system does not tell what a process took: run it on Linux or macOS")
    launched = [sys.executable, "-m", _MODULE, *command]
    done = subprocess.run(launched, capture_output=True, text=True, check=False)
    if done.returncode:
        said = " ".join(done.stderr.strip().splitlines()[-_LAST_LINES:])
        raise BenchError(f"{command[0]} failed with code {done.returncode}: {said}")
    return ProcessCost(**json.loads(done.stdout))


def main() -> int:
    """Run the command in `sys.argv`, write what it cost to stdout, and return its exit code."""
    start = time.perf_counter()
    with subprocess.Popen(sys.argv[1:], stdout=sys.stderr) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2)
    cost = ProcessCost(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * unit)
    sys.stdout.write(json.dumps(asdict(cost)))
    return process.returncode


if __name__ == "__main__":
    sys.exit(main())
