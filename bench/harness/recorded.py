"""A run whose results are kept after every round, and shown at its end, also if it is stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from distilroberta.bench.harness import command_line
from distilroberta.bench.harness.busy import Watch
from distilroberta.bench.harness.results_file import ResultsFile

Found = TypeVar("Found")


@contextmanager
def recorded(
    file: ResultsFile,
    threads: int,
    show: Callable[[Found], None],
    to_json: Callable[[Found], Mapping[str, Any]],
    warnings: Callable[[Found], Sequence[str]] | None = None,
) -> Iterator[Callable[[Found], None]]:
    """Record what is measured in the `with`.

    It is given what keeps all that was measured so far, in place of what was kept before. At the
    end the last of it is written and shown, with what disturbed the run: as complete, or as what
    there is if an error or an interrupt ends the `with`, which goes on then. Processes that were
    started for the run must have ended by then; the time of others would be called a disturbance.

    Args:
        file: where it is kept.
        threads: how many the measurement needs.
        show: prints it.
        to_json: returns its fields in the file.
        warnings: returns what disturbed it; by default the whole run is watched for that.
    """
    kept: list[Found] = []
    watch = Watch()
    complete = False

    def keep(found: Found) -> None:
        kept[:] = [found]
        # What is watched can be told at the end alone: the run's processes have not ended yet.
        said = warnings(found) if warnings else []
        file.save(complete=False, warnings=said, **to_json(found))

    try:
        yield keep
        complete = True
    finally:
        for found in kept:
            said = warnings(found) if warnings else watch.warnings(threads)
            file.save(complete=complete, warnings=said, **to_json(found))
            show(found)
            console = command_line.output()
            for warning in said:
                console.print(f"warning: {warning}", markup=False)
            if not complete:
                console.print("stopped before the end: this is what was measured until then")
