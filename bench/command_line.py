"""The frame of the scripts of this part: one command, errors on one line, exit codes."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable

import typer
from rich.console import Console

from distilroberta.runtime.command_line import messages, one_line
from distilroberta.runtime.errors import DistilRobertaError, InputError

_WIDTH = 150


def run(command: Callable[..., None]) -> None:
    """Run a script's command and exit: 0 done, 1 it failed, 2 the words were wrong."""
    app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
    app.command()(command)
    try:
        app()
    except DistilRobertaError as error:
        messages.print(one_line(error), markup=False)
        raise SystemExit(error.exit_code) from None


def output() -> Console:
    """Return standard output as a console that is wide enough for a table of latencies.

    A table that is cut to 80 columns is of no use in a file.
    """
    return Console(highlight=False, width=max(Console().width, _WIDTH))


def exact(module: str) -> str:
    """Return the command line that started this process, to be pasted into a shell."""
    return shlex.join(["python", "-m", module, *sys.argv[1:]])


def numbers(listed: str, option: str) -> list[int]:
    """Read `16,128` as whole numbers from 1 up, each once, in the order given.

    Raises:
        InputError: it holds something else, or nothing.
    """
    parts = [part.strip() for part in listed.split(",") if part.strip()]
    if not parts or not all(part.isdecimal() and int(part) for part in parts):
        raise InputError(f"{option} must be whole numbers with commas between, found {listed!r}")
    return list(dict.fromkeys(map(int, parts)))
