"""What a benchmark measured, as a file to keep: written whole, and again after every round.

One JSON object. Its keys at the top are the same for every benchmark:

* `schema`: 1; `benchmark`: the command's name, such as `claim`;
* `complete`: false as long as it runs, and for good where it was interrupted or failed;
* `command`, to be pasted into a shell; `started`, UTC; `seconds` it took so far;
* `machine`: see `machine.Machine`; `revision`: see `revision`, null outside a clone;
* `warnings`: what disturbed it;

and then whatever the benchmark has to say.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from distilroberta.bench.harness import command_line, whole_file
from distilroberta.bench.harness.machine import Machine
from distilroberta.bench.harness.revision import revision
from distilroberta.runtime.errors import InputError

SCHEMA = 1
# Where a long run keeps its results if it is not told another place.
FOLDER = "bench-results"


def check(path: Path | None) -> None:
    """Refuse a file that can't be written, before a long run.

    Raises:
        InputError: its folder is not there or can't be written to, or it is a folder itself.
    """
    if path is None:
        return
    if not path.parent.is_dir():
        raise InputError(f"--json names a file in {path.parent}, which is no folder")
    if path.is_dir():
        raise InputError(f"--json names {path}, which is a folder: name a file")
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"--json names a file in {path.parent}, which can't be written to")


def named(path: Path | None, benchmark: str) -> Path:
    """Return where a long run keeps its results: the file named, or a new one in `bench-results`.

    Raises:
        InputError: the named file's folder is not there, or the new one can't be made.
    """
    check(path)
    if path is not None:
        return path
    folder = Path(FOLDER)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} can't be made ({error}): name a file with --json") from error
    return folder / f"{benchmark}-{datetime.now(UTC):%Y%m%d-%H%M%S}.json"


class ResultsFile:
    """The results of one run; nothing is written without a path."""

    def __init__(self, path: Path | None, benchmark: str, machine: Machine, **fields: Any) -> None:
        """Begin a run.

        Args:
            path: where the results go.
            benchmark: the command's name.
            machine: what it runs on.
            fields: what is known of the run from the start; `json.dumps` takes it.
        """
        self.path = path
        self._begun = time.monotonic()
        self._head = {
            "schema": SCHEMA,
            "benchmark": benchmark,
            "command": command_line.exact(),
            "started": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "machine": asdict(machine),
            "revision": revision(),
            **fields,
        }

    def save(self, *, complete: bool = True, warnings: Sequence[str] = (), **fields: Any) -> None:
        """Write everything, in place of what was written before.

        Args:
            complete: whether the run is done.
            warnings: what disturbed it.
            fields: what was measured; `json.dumps` takes it.

        Raises:
            BenchError: it could not be written; what was written before is still there.
        """
        if self.path is None:
            return
        document = {
            **self._head,
            "complete": complete,
            "seconds": round(time.monotonic() - self._begun, 1),
            "warnings": list(warnings),
            **fields,
        }
        whole_file.write_text(self.path, json.dumps(document, indent=1) + "\n")
