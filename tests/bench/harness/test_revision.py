"""The revision that results name."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from distilroberta.bench.harness.revision import revision

AUTHOR = {
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.org",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
}


def git(folder: Path, *words: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name[:4] != "GIT_"}
    done = subprocess.run(
        ["git", *words],
        cwd=folder,
        env={**environment, **AUTHOR},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository with one commit of `code.py` and `results/claim.json`."""
    folder = tmp_path / "clone"
    (folder / "results").mkdir(parents=True)
    (folder / "code.py").write_text("one")
    (folder / "results" / "claim.json").write_text("{}")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def test_commit_is_named_by_its_short_hash(clone: Path) -> None:
    found = revision(clone)
    assert found is not None
    assert git(clone, "rev-parse", "HEAD").startswith(found)
    assert 7 <= len(found) < 40


@pytest.mark.parametrize("staged", [True, False])
def test_changed_file_is_told(clone: Path, staged: bool) -> None:
    commit = revision(clone)
    (clone / "code.py").write_text("another")
    if staged:
        git(clone, "add", ".")
    assert revision(clone) == f"{commit}+changes"


def test_removed_file_is_a_change(clone: Path) -> None:
    (clone / "code.py").unlink()
    assert str(revision(clone)).endswith("+changes")


def test_new_files_and_results_are_no_change(clone: Path) -> None:
    commit = revision(clone)
    (clone / "notes.txt").write_text("unknown to git")
    (clone / "results" / "claim.json").write_text('{"schema": 1}')
    assert revision(clone) == commit


def test_index_is_left_alone(clone: Path) -> None:
    index = clone / ".git" / "index"
    (clone / "code.py").write_text("one")  # the same, with a new time: git would note that
    before = index.read_bytes()
    revision(clone)
    assert index.read_bytes() == before


def test_folder_inside_another_clone_has_none(clone: Path) -> None:
    assert revision(clone / "results") is None


def test_folder_without_a_clone_or_without_a_commit_has_none(tmp_path: Path) -> None:
    assert revision(tmp_path / "missing") is None
    assert revision(tmp_path) is None
    git(tmp_path, "init", "-q")
    assert revision(tmp_path) is None


def test_machine_without_git_has_none(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(clone))
    assert revision(clone) is None


def test_variables_of_a_git_hook_name_no_other_clone(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = revision(clone)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other"))
    assert revision(clone) == expected
