"""The frame of the command line: commands from every part, errors on one line, exit codes.

A part brings its commands through the entry point group `distilroberta.commands`, a function that
takes the app. So the runtime has a command `build` without knowing the export stage.
"""

from __future__ import annotations

import io
import logging
import sys
import warnings
from collections.abc import Sequence
from importlib.metadata import entry_points
from types import TracebackType
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from distilroberta.runtime.errors import DistilRobertaError

COMMANDS = "distilroberta.commands"
_INTERRUPTED = 130

# Results go to stdout, all else to stderr.
messages = Console(stderr=True, emoji=False, highlight=False, soft_wrap=True)

# A pipe has no width: what reads it should not get a table cut to that of some terminal.
_PIPE_WIDTH = 200


def results(*, soft_wrap: bool = False) -> Console:
    """Return the console that a command prints its results to, for stdout as it is now."""
    width = None if sys.stdout.isatty() else _PIPE_WIDTH
    return Console(emoji=False, highlight=False, soft_wrap=soft_wrap, width=width)


class Steps:
    """What a command does now and how far it is: on a terminal, and nothing in a pipe.

    It is a context manager; what it shows goes away at its end.
    """

    def __init__(self) -> None:
        """Begin with a step that nothing is known of."""
        # By itself rich would write to a pipe where the environment forces colours.
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[count]}"),
            TimeRemainingColumn(),
            console=messages,
            transient=True,
            redirect_stdout=False,
            disable=not sys.stderr.isatty(),
        )
        self._task = self._progress.add_task("starting", total=None, count="")

    def __enter__(self) -> Steps:
        """Show it."""
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Take it away."""
        self._progress.stop()

    def start(self, line: str) -> None:
        """Name the next step; how far it is, is not known yet."""
        # A task's total can't be taken back, so each step is another task.
        self._progress.remove_task(self._task)
        self._task = self._progress.add_task(line, total=None, count="")

    def advance(self, done: int, total: int) -> None:
        """Say how far the step is; if that is less than before, it began again."""
        if done < self._progress.tasks[0].completed:
            self._progress.reset(self._task)
        self._progress.update(self._task, completed=done, total=total, count=f"{done}/{total}")


class _Handler(logging.Handler):
    # One line for each record, also in a pipe, where rich's own handler breaks it at 80 columns.
    def emit(self, record: logging.LogRecord) -> None:
        _say(record.getMessage())


def make_app() -> typer.Typer:
    """Return the app with the commands of every installed part."""
    app = typer.Typer(
        name="distilroberta",
        help="DistilRoBERTa and RoBERTa: checkpoint to ONNX artifact, and answers from it.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )

    @app.callback()
    def options(
        verbose: bool = typer.Option(False, "--verbose", "-v", help="Show what is chosen and why."),
    ) -> None:
        level = logging.INFO if verbose else logging.WARNING
        logging.getLogger("distilroberta").setLevel(level)
        logging.getLogger("distilroberta").handlers[:] = [_Handler()]

    for part in sorted(entry_points(group=COMMANDS), key=lambda part: part.name):
        part.load()(app)
    return app


def run(arguments: Sequence[str]) -> int:
    """Run one command and return the exit code: 0 done, 1 it failed, 2 the words were wrong."""
    # An answer may hold what the terminal's encoding lacks; the rest of it is still worth printing.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    warnings.showwarning = _show_warning
    try:
        make_app()(list(arguments))
    except DistilRobertaError as error:
        _say(error)
        return error.exit_code
    except KeyboardInterrupt:
        _say("interrupted")
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has left (`| head`); nothing more can be written to it.
        sys.stdout = None
        return 0
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0
    return 0


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    # Python would show the source line that warned.
    _say(message)


def _say(message: Exception | str) -> None:
    messages.print(f"distilroberta: {one_line(message)}", markup=False)


def one_line(message: Exception | str) -> str:
    """Return a message without its line breaks."""
    return " ".join(str(message).split())
