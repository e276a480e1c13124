"""A Python environment for the engines that ours are compared with.

    distilroberta bench peers-environment FOLDER

OpenVINO, NNCF and CTranslate2 are no dependencies of this project and want versions of their own of
what it depends on, so they get an environment beside it: `requirements-peers.txt` of a clone, and
the clone itself without its dependencies, since a worker process imports `distilroberta.bench`. An
environment that stands in FOLDER already is completed. On Linux, a CPU build of torch that was
installed there before saves several gigabytes.

openvino-telemetry is taken out again: it would report over the network that the others are used.
They work without it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import venv
from collections.abc import Sequence
from pathlib import Path

import typer

from distilroberta.bench.errors import BenchError
from distilroberta.bench.harness import command_line
from distilroberta.runtime.command_line import messages
from distilroberta.runtime.errors import InputError

NAME = "peers-environment"
# In a clone; an installed package does not have it.
PROJECT = Path(__file__).parents[2]
REQUIREMENTS = "requirements-peers.txt"
_LAST_LINES = 5


def interpreter(folder: Path) -> Path:
    """Return the Python of an environment.

    Raises:
        InputError: there is none in the folder.
    """
    found = _interpreter(folder)
    if not found.is_file():
        raise InputError(
            f"{folder} holds no Python environment: make one with "
            f"`distilroberta bench {NAME} {folder}`"
        )
    return found


def make(folder: Path, project: Path = PROJECT) -> Path:
    """Make the environment, or complete one that is there, and return its Python.

    Args:
        folder: where it goes. If it was not there, a failure leaves nothing.
        project: the clone to install.

    Raises:
        InputError: `folder` holds something else, or `project` is no clone.
        BenchError: it could not be made.
    """
    if not (project / REQUIREMENTS).is_file():
        raise InputError(f"{project} has no {REQUIREMENTS}: run this in a clone of the project")
    if folder.exists() and not _interpreter(folder).is_file():
        raise InputError(f"{folder} is there and no Python environment: name another folder")
    is_new = not folder.exists()
    try:
        if is_new:
            venv.create(folder, with_pip=True)
        python = _interpreter(folder).absolute()
        _pip(python, "install", "-r", str(project / REQUIREMENTS))
        _pip(python, "install", "--no-deps", "--editable", str(project))
        _pip(python, "uninstall", "--yes", "openvino-telemetry")
    except (OSError, BenchError) as error:
        if is_new:
            shutil.rmtree(folder, ignore_errors=True)
        raise BenchError(f"the environment {folder} could not be made: {error}") from error
    return python


def _interpreter(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _pip(python: Path, *words: str) -> None:
    command: Sequence[str | Path] = (python, "-m", "pip", "--disable-pip-version-check", *words)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise BenchError(f"pip {words[0]} failed: {' '.join(lines[-_LAST_LINES:])}")


def main(
    folder: Path = typer.Argument(metavar="FOLDER", help="Where the environment goes."),
) -> None:
    """Make a Python environment of OpenVINO, NNCF and CTranslate2, which `peers` measures."""
    with messages.status(f"making {folder}"):
        python = make(folder)
    command_line.output().print(f"{python}", markup=False)
