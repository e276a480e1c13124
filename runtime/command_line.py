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
from typing import Any

import typer
from rich.console import Console
from rich.logging import RichHandler

from distilroberta.runtime.errors import DistilRobertaError

COMMANDS = "distilroberta.commands"
_INTERRUPTED = 130

# Results go to stdout, all else to stderr.
messages = Console(stderr=True, emoji=False, highlight=False, soft_wrap=True)


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
        handler = RichHandler(console=messages, show_time=False, show_path=False)
        level = logging.INFO if verbose else logging.WARNING
        logging.getLogger("distilroberta").setLevel(level)
        logging.getLogger("distilroberta").handlers[:] = [handler]

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
        messages.print(f"distilroberta: {one_line(error)}", markup=False)
        return error.exit_code
    except KeyboardInterrupt:
        messages.print("distilroberta: interrupted")
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
    messages.print(f"distilroberta: {one_line(message)}", markup=False)


def one_line(message: Exception | str) -> str:
    """Return a message without its line breaks."""
    return " ".join(str(message).split())
