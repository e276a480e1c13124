"""Which revision of the project was measured, as its clone's git tells."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

# In a clone; an installed package does not have it.
PROJECT = Path(__file__).parents[2]

# Nothing that is measured reads it, and runs that renew its files one after the other would each
# mark the next as changed.
_RESULTS = "results"


def revision(folder: Path = PROJECT) -> str | None:
    """Return the revision of a clone: a commit's short hash, such as `5b3c6b2`.

    `5b3c6b2+changes` says that tracked files differ from that commit, staged or not. Those in
    `results/` are not looked at, nor are files that git does not know. Nothing is written, git's
    index included.

    Args:
        folder: the top folder of a clone.

    Returns:
        None where there is no git, or the folder is not the top of a clone with a commit.
    """
    git = shutil.which("git")
    if git is None or not folder.is_dir():
        return None
    # Not empty below the top: a package that is installed somewhere inside another project's clone.
    if _said(git, folder, "rev-parse", "--show-prefix") != "":
        return None
    commit = _said(git, folder, "rev-parse", "--short", "HEAD")
    everything_else = (".", f":(exclude){_RESULTS}")
    changed = _said(
        git, folder, "status", "--porcelain", "--untracked-files=no", "--", *everything_else
    )
    if not commit or changed is None:
        return None
    return f"{commit}+changes" if changed else commit


def _said(git: str, folder: Path, *words: str) -> str | None:
    # A hook of git runs with variables that name another clone.
    environment = {name: value for name, value in os.environ.items() if name[:4] != "GIT_"}
    done = subprocess.run(
        [git, *words],
        cwd=folder,
        env={**environment, "GIT_OPTIONAL_LOCKS": "0"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() if done.returncode == 0 else None
