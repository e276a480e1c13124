"""The process an engine runs in, started by `distilroberta.bench.harness.processes`.

It reads requests from standard input and writes replies to what was standard output when it
started. Whatever a library prints goes to standard error, so that it can't get among the replies.
Only the standard library is imported here: an engine's load time and memory are its own, and its
environment need have nothing but what it runs on.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from distilroberta.bench.harness import framing
from distilroberta.bench.harness.timing import time_calls
from distilroberta.bench.harness.workload import Workload


@dataclass(frozen=True)
class Loaded:
    """An engine that is ready: how long importing and loading took, and the memory it has."""

    seconds: float
    resident_bytes: int | None


@dataclass(frozen=True)
class Failure:
    """A request that raised: the last line of the traceback. All of it is on standard error."""

    message: str


class Server:
    """Holds the engine and answers requests, which are the names of its public methods."""

    def __init__(self) -> None:
        """Begin without an engine."""
        self._engine: Any = None

    def load(self, engine: str, arguments: dict[str, Any]) -> Loaded:
        """Make the engine `module:name` with keyword arguments."""
        start = time.perf_counter()
        module, _, name = engine.partition(":")
        self._engine = getattr(importlib.import_module(module), name)(**arguments)
        return Loaded(time.perf_counter() - start, self.resident_bytes())

    def answer(self, workload: Workload) -> Any:
        """Return the engine's logits: float32 (rows, vocabulary) or (rows, labels)."""
        return self._engine.answer(workload)

    def time(self, workload: Workload, warmup: int, calls: int) -> list[int]:
        """Run one round; return nanoseconds, one for each timed call."""
        return time_calls(self._engine.call(workload), warmup=warmup, calls=calls)

    def resident_bytes(self) -> int | None:
        """Return the memory of this process that is in RAM, None where /proc does not tell."""
        return _status("VmRSS:")

    def peak_bytes(self) -> int | None:
        """Return the most memory of this process that ever was in RAM, None where none can tell."""
        return _status("VmHWM:")

    def cpu_seconds(self) -> float:
        """Return the CPU time of this process and of its children that have ended."""
        return sum(os.times()[:4])


def _status(field: str) -> int | None:
    # In bytes; the file has kB. See proc_pid_status(5).
    try:
        lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    except OSError:
        return None
    sizes = [line.split()[1] for line in lines if line.startswith(field)]
    return int(sizes[0]) * 1024 if sizes else None


REQUESTS = frozenset(name for name in vars(Server) if not name.startswith("_"))


def serve(requests: IO[bytes], replies: IO[bytes]) -> None:
    """Answer requests, `(name, *arguments)`, until the other end closes."""
    server = Server()
    while True:
        try:
            name, *arguments = framing.receive(requests)
        except EOFError:
            return
        try:
            if name not in REQUESTS:
                raise ValueError(f"unknown request {name!r}")
            reply = getattr(server, name)(*arguments)
        except Exception as error:
            traceback.print_exc()
            sys.stderr.flush()
            reply = Failure(" ".join(traceback.format_exception_only(error)[-1].split()))
        framing.send(replies, reply)


def main() -> None:
    """Serve the process that started this one."""
    # Ctrl-C goes to every process of a terminal. Who started this one decides what becomes of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with replies:
        serve(sys.stdin.buffer, replies)
