"""A folder that appears whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from distilroberta.quantize.errors import StagingError
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
        if any(output.iterdir()) and not _was_built(output):
            raise InputError(
                f"{output} is not an artifact (it has no {layout.MANIFEST} of ours), and --force "
                "replaces nothing else: choose another folder"
            )
    for parent in output.parents:
        if os.path.exists(parent):
            if not os.path.isdir(parent):
                raise InputError(f"{output} can't be made: {parent} is not a folder")
            return


def _was_built(folder: Path) -> bool:
    # Less than `Manifest.read` asks for: a damaged artifact may be replaced. But other programs
    # have a manifest.json too.
    try:
        tree = json.loads((folder / layout.MANIFEST).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    ours = isinstance(tree, dict) and isinstance(tree.get("schema_version"), int)
    return ours and tree.get("task") in layout.TASKS


@contextmanager
def staged(output: Path, *, force: bool) -> Iterator[Path]:
    """Give a folder to write to, and rename it to `output` when all went well.

    The folder is a sibling of `output`, so that the rename stays within one file system. On any
    error, and on Ctrl-C, it is removed and `output` is as it was. A folder in the way (`force`) is
    moved aside before the rename and removed after it, and put back if the rename fails.

    Raises:
        InputError: `check_output` refuses `output`, or nothing can be made beside it.
        StagingError: the disk is full, or fails in another way.
    """
    check_output(output, force=force)
    made = [parent for parent in output.parents if not os.path.exists(parent)]
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        name = tempfile.mkdtemp(prefix=f".{output.name}.", suffix=".new", dir=output.parent)
    except (OSError, ValueError) as error:
        _remove_empty(made)
        raise InputError(f"{output} can't be made: {error}") from error
    staging = Path(name)
    try:
        yield staging
        staging.chmod(0o777 & ~_umask())  # mkdtemp makes it private
        _flush(staging)
        check_output(output, force=force)  # the build took long
        _move_into_place(staging, output)
    except OSError as error:
        raise StagingError(f"{output} could not be written: {error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        _remove_empty(made)


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:  # the innermost first
        with suppress(OSError):  # it is not empty, or was never made
            folder.rmdir()


def _move_into_place(staging: Path, output: Path) -> None:
    if not output.exists():
        staging.rename(output)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{output.name}.", suffix=".old", dir=output.parent))
    old = aside / output.name
    try:
        output.rename(old)
        staging.rename(output)
    except BaseException as error:
        if old.exists():
            try:
                old.rename(output)
            except OSError:  # then the only copy stays where it is, and the user is told
                raise StagingError(f"{output} could not be replaced; it is now in {old}") from error
        aside.rmdir()
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _flush(folder: Path) -> None:
    """Ask the disk to keep what was written, so that a power cut after the rename loses nothing."""
    for path in (*folder.rglob("*"), folder):
        if os.name == "nt" and path.is_dir():
            continue  # Windows can't open a folder
        # Windows flushes only what is open for writing.
        descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
