"""The frame of the scripts of this part: one command, errors on one line, exit codes."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable

import typer
from rich.console import Console

from distilroberta.bench.workload import Shape
from distilroberta.runtime.command_line import messages, one_line
from distilroberta.runtime.errors import DistilRobertaError, InputError
from distilroberta.runtime.execution.cpu_limit import usable_cpus

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


def threads(asked: int | None) -> int:
    """Return how many threads each engine gets: by default one for each usable CPU.

    Raises:
        InputError: it is less than 1.
    """
    count = usable_cpus() if asked is None else asked
    if count < 1:
        raise InputError(f"--threads must be 1 or more, found {count}")
    return count


def numbers(listed: str, option: str) -> list[int]:
    """Read `16,128` as whole numbers from 1 up, each once, in the order given.

    Raises:
        InputError: it holds something else, or nothing.
    """
    parts = [part.strip() for part in listed.split(",") if part.strip()]
    if not parts or not all(part.isdecimal() and int(part) for part in parts):
        raise InputError(f"{option} must be whole numbers with commas between, found {listed!r}")
    return list(dict.fromkeys(map(int, parts)))


def shapes(listed: str, option: str) -> list[Shape]:
    """Read `16,8x128` as one text of 16 tokens and eight texts of 128, each once, in that order.

    Raises:
        InputError: it holds something else, or nothing.
    """
    parts = [part.strip() for part in listed.split(",") if part.strip()]
    sizes = [part.split("x") if "x" in part else ["1", part] for part in parts]
    counts = [all(size.isdecimal() and int(size) for size in pair) for pair in sizes]
    if not sizes or not all(counts) or any(len(pair) != 2 for pair in sizes):
        raise InputError(
            f"{option} must be tokens, or texts x tokens as in 8x128, with commas between, found "
            f"{listed!r}"
        )
    return list(dict.fromkeys(Shape(int(rows), int(tokens)) for rows, tokens in sizes))
