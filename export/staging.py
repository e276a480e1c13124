"""A folder that appears whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from distilroberta.export.errors import ExportError
from distilroberta.runtime import layout
from distilroberta.runtime.errors import InputError


def check_output(output: Path, *, force: bool) -> None:
    """Check that a build may write to `output`.

    Raises:
        InputError: it exists and `force` is not set, or it is a folder of something else, or a
            file, or its parent can't hold it.
    """
    if os.path.lexists(output):
        if not os.path.isdir(output):
            raise InputError(f"{output} exists: it is not a folder: choose another name")
        if not force:
            raise InputError(f"{output} exists: choose another folder, or replace it with --force")
        if any(output.iterdir()) and not (output / layout.MANIFEST).is_file():
            raise InputError(
                f"{output} is not an artifact (it has no {layout.MANIFEST}), and --force replaces "
                "nothing else: choose another folder"
            )
    for parent in output.parents:
        if os.path.exists(parent):
            if not os.path.isdir(parent):
                raise InputError(f"{output} can't be made: {parent} is not a folder")
            return


@contextmanager
def staged(output: Path, *, force: bool) -> Iterator[Path]:
    """Give a folder to write to, and rename it to `output` when all went well.

    The folder is a sibling of `output`, so that the rename stays within one file system. On any
    error, and on Ctrl-C, it is removed and `output` is as it was. A folder in the way (`force`) is
    moved aside before the rename and removed after it, and put back if the rename fails.

    Raises:
        InputError: `check_output` refuses `output`, or nothing can be made beside it.
        ExportError: the disk is full, or fails in another way.
    """
    check_output(output, force=force)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        name = tempfile.mkdtemp(prefix=f".{output.name}.", suffix=".new", dir=output.parent)
    except (OSError, ValueError) as error:
        raise InputError(f"{output} can't be made: {error}") from error
    staging = Path(name)
    try:
        yield staging
        staging.chmod(0o777 & ~_umask())  # mkdtemp makes it private
        _flush(staging)
        check_output(output, force=force)  # the build took long
        _move_into_place(staging, output)
    except OSError as error:
        raise ExportError(f"{output} could not be written: {error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _move_into_place(staging: Path, output: Path) -> None:
    if not output.exists():
        staging.rename(output)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{output.name}.", suffix=".old", dir=output.parent))
    old = aside / output.name
    output.rename(old)
    try:
        staging.rename(output)
    except BaseException:
        old.rename(output)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _flush(folder: Path) -> None:
    """Ask the disk to keep what was written, so that a power cut after the rename loses nothing."""
    for path in (*folder.rglob("*"), folder):
        if os.name == "nt" and path.is_dir():
            continue  # Windows can't open a folder
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
