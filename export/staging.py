"""A folder that appears whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from distilroberta.runtime.errors import InputError


def check_output(output: Path, *, force: bool) -> None:
    """Check that a build may write to `output`.

    Raises:
        InputError: it exists and `force` is not set, or it is a file, or its parent can't hold it.
    """
    if output.is_dir() and force:
        return
    if output.exists() or output.is_symlink():
        way_out = "choose another folder, or replace it with --force"
        if not output.is_dir():
            way_out = "it is not a folder: choose another name"
        raise InputError(f"{output} exists: {way_out}")
    for parent in output.absolute().parents:
        if parent.exists():
            if not parent.is_dir():
                raise InputError(f"{output} can't be made: {parent} is not a folder")
            return


@contextmanager
def staged(output: Path, *, force: bool) -> Iterator[Path]:
    """Give a folder to write to, and rename it to `output` when all went well.

    The folder is a sibling of `output`, so that the rename stays within one file system. On any
    error, and on Ctrl-C, it is removed and `output` is as it was. A folder in the way (`force`) is
    moved aside before the rename and removed after it, and put back if the rename fails.

    Raises:
        InputError: `output` exists and `force` is not set.
    """
    check_output(output, force=force)
    output.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{output.name}.", suffix=".new", dir=output.parent))
    try:
        yield staging
        staging.chmod(0o777 & ~_umask())  # mkdtemp makes it private
        _flush(staging)
        check_output(output, force=force)  # the build took long
        _move_into_place(staging, output)
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
