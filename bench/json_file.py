"""What a command measured, as a file to keep."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from distilroberta.bench import command_line
from distilroberta.bench.machine import Machine
from distilroberta.runtime.errors import InputError


def check(path: Path | None) -> None:
    """Refuse a file that can't be written, before a long run.

    Raises:
        InputError: its folder is not there.
    """
    if path is not None and not path.parent.is_dir():
        raise InputError(f"--json names a file in {path.parent}, which is no folder")


def write(path: Path | None, module: str, machine: Machine, **fields: Any) -> None:
    """Write the command, the machine and all fields; nothing without a path."""
    if path is not None:
        document = {"command": command_line.exact(module), "machine": asdict(machine), **fields}
        path.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
