"""The `distilroberta` command's first step: it needs the `cli` extra, and says so plainly."""

from __future__ import annotations

import sys
from importlib.util import find_spec

_MISSING_EXTRA = 2


def main() -> None:
    """Run the command line, or say how to install it."""
    if find_spec("typer") is None or find_spec("rich") is None:
        sys.stderr.write(
            "distilroberta: the command line needs the cli extra: "
            "pip install 'distilroberta-onnx[cli]'\n"
        )
        raise SystemExit(_MISSING_EXTRA)
    from distilroberta.runtime.command_line import run

    raise SystemExit(run(sys.argv[1:]))
