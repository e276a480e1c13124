"""What the commands of this part have in common: reading words, printing tables."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable

from rich.console import Console

from distilroberta.bench.harness.machine import Machine
from distilroberta.bench.harness.workload import Shape
from distilroberta.runtime.errors import InputError
from distilroberta.runtime.execution.cpu_limit import usable_cpus

_WIDTH = 150


def output() -> Console:
    """Return standard output as a console that is wide enough for a table of latencies.

    A table that is cut to 80 columns is of no use in a file.
    """
    return Console(highlight=False, width=max(Console().width, _WIDTH))


def exact() -> str:
    """Return the command line that started this process, to be pasted into a shell."""
    return shlex.join(["distilroberta", *sys.argv[1:]])


def introduce(console: Console, here: Machine, threads: int, weights: str) -> None:
    """Print what a comparison of engines is made on, with, and by which command."""
    console.print(f"{here}\n{threads} threads for each engine; {weights}", markup=False)
    console.print(exact(), markup=False)


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


def words(listed: str, option: str, known: Iterable[str]) -> list[str]:
    """Read `ours,torch` as some of the known words, each once, in the order given.

    Raises:
        InputError: it holds another word, or nothing.
    """
    choices = list(known)
    parts = [part.strip() for part in listed.split(",") if part.strip()]
    if not parts or not set(parts) <= set(choices):
        raise InputError(
            f"{option} must be of {', '.join(choices)}, with commas between, found {listed!r}"
        )
    return list(dict.fromkeys(parts))


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
