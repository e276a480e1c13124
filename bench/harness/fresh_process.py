"""One measurement in a process of its own, which hands back what it measured line by line.

For what only a fresh process can show: how long its first answer takes, how its memory grows.
`processes` keeps engines alive and asks them again and again; this starts from nothing.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator
from typing import Any

from distilroberta.bench.errors import WorkerError

# Not `-m`, which imports more before the module is.
_START = "import sys; from {module} import main; main(sys.argv[1:])"
_TAIL_BYTES = 2000


def lines(
    name: str, module: str, *arguments: str, patience: float = 600.0
) -> Generator[Any, None, None]:
    """Run a module's `main(arguments)` in a fresh process; yield what it writes, as it does.

    Args:
        name: how errors call the process.
        module: its `main` writes lines of JSON to standard output, and nothing else.
        arguments: what it is given.
        patience: the seconds all of it may take; then the process is killed.

    Raises:
        WorkerError: the process failed, took too long, or wrote something else.
    """
    command = [sys.executable, "-c", _START.format(module=module), *arguments]
    late = threading.Event()
    with (
        tempfile.TemporaryFile() as stderr,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True) as process,
        contextlib.ExitStack() as stack,
    ):
        stack.callback(process.kill)  # also where nobody asks for the rest; harmless at the end

        def stop() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(patience, stop)
        timer.daemon = True  # an interrupt right here would leave it, and the end wait for it
        timer.start()
        stack.callback(timer.cancel)
        assert process.stdout is not None  # a pipe was asked for
        for line in process.stdout:
            try:
                found = json.loads(line)
            except ValueError as error:
                raise WorkerError(name, f"wrote what is no line of JSON: {line!r}") from error
            yield found
        code = process.wait()
        if code:
            stderr.seek(max(0, stderr.seek(0, 2) - _TAIL_BYTES))
            said = stderr.read().decode("utf-8", "replace").strip()
            reason = (
                f"took longer than {patience:g} s"
                if late.is_set()
                else f"its process ended with code {code}"
            )
            raise WorkerError(name, reason, said)
