"""What importing the runtime adds to importing what it needs.

    distilroberta bench import [--rounds 20]

Two statements are timed, each in fresh processes, alternating:

* `import onnxruntime, tokenizers` (numpy comes with onnxruntime);
* the same, and `from distilroberta.runtime import FillMaskPipeline, pipeline`.

A process times its own imports, so the interpreter's start and end are left out. The first round
is thrown away: it compiles to bytecode and fills the page cache. The difference is taken in each
round, and its median is what counts; the runtime is meant to add at most 0.15 s.
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import typer
from rich.table import Table

from distilroberta.bench.errors import BenchError
from distilroberta.bench.harness import command_line, machine, results_file
from distilroberta.bench.harness.interleave import Spread
from distilroberta.bench.harness.recorded import recorded
from distilroberta.bench.harness.results_file import ResultsFile
from distilroberta.runtime.errors import InputError

NAME = "import"
NEEDED = "import onnxruntime, tokenizers"
RUNTIME = f"{NEEDED}; from distilroberta.runtime import FillMaskPipeline, pipeline"
BOUND_SECONDS = 0.15
_PATIENCE_SECONDS = 120
_THREADS = 1  # an import has no more


@dataclass(frozen=True)
class ImportCost:
    """Seconds for the packages the runtime needs, for these with it, and the difference."""

    needed: Spread
    runtime: Spread
    difference: Spread


def seconds(statement: str) -> float:
    """Run one statement in a fresh process and return the seconds it took.

    Raises:
        BenchError: it failed.
    """
    timed = f"import time; start = time.perf_counter(); {statement}; "
    timed += "print(time.perf_counter() - start)"
    try:
        done = subprocess.run(
            [sys.executable, "-c", timed],
            capture_output=True,
            text=True,
            timeout=_PATIENCE_SECONDS,
            check=True,
        )
        return float(done.stdout)
    except subprocess.CalledProcessError as error:
        raise BenchError(f"`{statement}` failed: {error.stderr.strip()}") from error
    except (subprocess.TimeoutExpired, ValueError) as error:
        raise BenchError(f"`{statement}` could not be timed: {error}") from error


def measure(rounds: int, *, seed: int = 0, clock: Callable[[str], float] = seconds) -> ImportCost:
    """Time both statements in turn, in an order drawn anew for each round.

    Args:
        rounds: how many count; one more comes first.
        seed: of the order.
        clock: returns the seconds a statement takes.

    Raises:
        BenchError: an import failed.
        InputError: there is no round.
    """
    if rounds < 1:
        raise InputError(f"--rounds must be 1 or more, found {rounds}")
    order = random.Random(seed)  # noqa: S311 - an order, no secret
    found: dict[str, list[float]] = {NEEDED: [], RUNTIME: []}
    for _ in range(rounds + 1):
        for statement in order.sample(list(found), len(found)):
            found[statement].append(clock(statement))
    needed, runtime = found[NEEDED][1:], found[RUNTIME][1:]
    differences = [more - less for less, more in zip(needed, runtime, strict=True)]
    return ImportCost(Spread.of(needed), Spread.of(runtime), Spread.of(differences))


def _print(cost: ImportCost, rounds: int) -> None:
    table = Table("statement", title=f"seconds, median of {rounds} processes (25 %-75 %)")
    table.add_column("s", justify="right")
    rows = ((NEEDED, cost.needed), (RUNTIME, cost.runtime), ("difference", cost.difference))
    for name, spread in rows:
        table.add_row(name, f"{spread.median:.3f} ({spread.low:.3f} to {spread.high:.3f})")
    console = command_line.output()
    console.print(table)
    console.print(verdict(cost), markup=False)


def verdict(cost: ImportCost) -> str:
    """Say whether the difference keeps its bound."""
    kept = "within" if cost.difference.median <= BOUND_SECONDS else "above"
    return f"{cost.difference.median:.3f} s more: {kept} the bound of {BOUND_SECONDS} s"


def to_json(cost: ImportCost) -> dict[str, Any]:
    """Return the seconds, as what `json.dumps` takes."""
    return {**asdict(cost), "verdict": verdict(cost)}


def main(
    rounds: int = typer.Option(20, help="How many processes of each kind are timed."),
    json_path: Path | None = typer.Option(None, "--json", help="Also write everything here."),
) -> None:
    """Tell what importing distilroberta.runtime adds to importing onnxruntime and tokenizers."""
    results_file.check(json_path)
    here = machine.describe()
    file = ResultsFile(json_path, NAME, here, threads=_THREADS, weights=None, rounds=rounds)

    def show(cost: ImportCost) -> None:
        command_line.output().print(f"{here}\n{command_line.exact()}", markup=False)
        _print(cost, rounds)

    with recorded(file, _THREADS, show, to_json) as keep:
        keep(measure(rounds))
