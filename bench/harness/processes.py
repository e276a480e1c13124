"""Engines in processes of their own, seen from the process that measures them.

Thread pools that spin while they wait take time from whoever shares their process, and an engine's
memory can only be told where it is alone.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any, cast

from distilroberta.bench.errors import WorkerError
from distilroberta.bench.harness import busy, framing
from distilroberta.bench.harness.worker import Failure, Loaded
from distilroberta.bench.harness.workload import Workload

# Not `-m`: what the worker pickles must belong to a module that has the same name here.
_START = "from distilroberta.bench.harness.worker import main; main()"
_TAIL_BYTES = 2000
# What a process gets to end by itself once its input is closed.
_GRACE_SECONDS = 5.0


class Worker:
    """One engine, loaded and ready. Close it, or use it in a `with`.

    `name` is the engine's, `loaded` says what loading it took.
    """

    def __init__(
        self,
        name: str,
        engine: str,
        arguments: Mapping[str, Any],
        *,
        interpreter: Path | None = None,
        patience: float = 600.0,
    ) -> None:
        """Start a process and load an engine in it.

        Args:
            name: how errors and tables call it.
            engine: `module:class`; the class has the methods of `engines.Engine`.
            arguments: the class's keyword arguments; they and all answers must pickle.
            interpreter: a Python whose environment holds the engine and `distilroberta.bench`;
                by default the one that runs this.
            patience: the seconds a request may take; then the process is killed.

        Raises:
            WorkerError: the engine can't be loaded, or the process died or took too long.
        """
        self.name = name
        self._patience = patience
        self._command = [interpreter or sys.executable, "-c", _START]
        self._engine = engine, dict(arguments)
        self._start()

    def _start(self) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - `close` does
        try:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr
            )
        except OSError as error:
            self._stderr.close()
            raise WorkerError(self.name, f"its interpreter can't be run: {error}") from error
        try:
            self.loaded: Loaded = self._ask("load", *self._engine)
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """The id of the engine's process."""
        return self._process.pid

    def answer(self, workload: Workload) -> Any:
        """Return the engine's logits: float32 (rows, vocabulary) or (rows, labels).

        Raises:
            WorkerError: the engine raised, died or took too long.
        """
        return self._ask("answer", workload)

    def time(self, workload: Workload, warmup: int, calls: int) -> list[int]:
        """Run one round; return nanoseconds, one for each timed call.

        Raises:
            WorkerError: the engine raised, died or took too long.
        """
        return cast(list[int], self._ask("time", workload, warmup, calls))

    def resident_bytes(self) -> int | None:
        """Return the memory of the engine's process that is in RAM, None where none can tell.

        Raises:
            WorkerError: the process is gone.
        """
        return cast("int | None", self._ask("resident_bytes"))

    def peak_bytes(self) -> int | None:
        """Return the most memory the engine's process had in RAM, None where none can tell.

        Raises:
            WorkerError: the process is gone.
        """
        return cast("int | None", self._ask("peak_bytes"))

    def cpu_seconds(self) -> float:
        """Return the CPU time of the engine's process since it started.

        Raises:
            WorkerError: the process is gone.
        """
        return cast(float, self._ask("cpu_seconds"))

    def revive(self) -> None:
        """Start the engine again in a new process, if this one is gone.

        Raises:
            WorkerError: as for a new worker.
        """
        if self._process.poll() is not None:
            self.close()
            self._start()

    def close(self) -> None:
        """End the process. It is gone when this returns."""
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):  # what was not sent yet can't be any more
                _open(stream).close()
        self._end()
        self._stderr.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, request: str, *arguments: Any) -> Any:
        if _open(self._process.stdin).closed:
            raise WorkerError(self.name, f"its process is gone, asked to {request!r}")
        late = threading.Event()

        def stop() -> None:
            late.set()
            self._process.kill()

        # Killing it ends the read below; a pipe can't be read with a time limit on every system.
        timer = threading.Timer(self._patience, stop)
        timer.daemon = True  # an interrupt right here would leave it, and the end wait for it
        timer.start()
        try:
            framing.send(_open(self._process.stdin), (request, *arguments))
            reply = framing.receive(_open(self._process.stdout))
        except (OSError, EOFError) as error:
            code = self._end()
            reason = (
                f"no answer to {request!r} within {self._patience:g} s"
                if late.is_set()
                else f"its process ended with code {code} while asked to {request!r}"
            )
            raise WorkerError(self.name, reason, self._tail()) from error
        except BaseException:  # an interrupt: the late reply must not be taken for the next one
            self._process.kill()
            raise
        finally:
            timer.cancel()
        if isinstance(reply, Failure):
            raise WorkerError(self.name, f"{request!r} failed: {reply.message}", self._tail())
        return reply

    def _end(self) -> int:
        try:
            return self._process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def _tail(self) -> str:
        # Reading moves the position the process writes at too, and leaves it at the end again.
        size = os.fstat(self._stderr.fileno()).st_size
        self._stderr.seek(max(0, size - _TAIL_BYTES))
        return self._stderr.read().decode("utf-8", "replace").strip()


def cpu_seconds(workers: Iterable[Worker]) -> float:
    """Return the CPU time of this process, its children that have ended, and some workers.

    A worker whose process is gone is among the children.
    """
    total = busy.own_seconds()
    for worker in workers:
        with contextlib.suppress(WorkerError):
            total += worker.cpu_seconds()
    return total


def _open(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None  # all three were asked for
    return stream
