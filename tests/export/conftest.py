"""Small checkpoints, loaded and on the disk, that the tests of this part share."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distilroberta.export.checkpoint import Loaded, load, task_of
from distilroberta.export.source import resolve

Load = Callable[[Path], Loaded]
# Changes a folder's JSON file in place: `edit(folder, name, change)`.
Edit = Callable[[Path, str, Callable[[dict[str, Any]], Any]], None]


@pytest.fixture(scope="session")
def load_folder() -> Load:
    """Load a checkpoint folder for its own task, as a build does."""

    def load_(folder: Path) -> Loaded:
        checkpoint = resolve(str(folder))
        return load(checkpoint, task_of(checkpoint))

    return load_


@pytest.fixture(scope="session")
def masker(make_checkpoint: Callable[..., Path]) -> Path:
    """A fill-mask checkpoint of one layer. Read only."""
    return make_checkpoint("fill-mask", num_hidden_layers=1)


@pytest.fixture(scope="session")
def labeller(make_checkpoint: Callable[..., Path]) -> Path:
    """A text classification checkpoint of one layer, with two labels. Read only."""
    return make_checkpoint("text-classification", num_hidden_layers=1)


@pytest.fixture
def masker_copy(masker: Path, tmp_path: Path) -> Path:
    """A copy of the fill-mask checkpoint that a test may damage."""
    return Path(shutil.copytree(masker, tmp_path / "masker"))


@pytest.fixture
def labeller_copy(labeller: Path, tmp_path: Path) -> Path:
    """A copy of the classification checkpoint that a test may damage."""
    return Path(shutil.copytree(labeller, tmp_path / "labeller"))


@pytest.fixture
def edit_json() -> Edit:
    """Change a JSON file in place: `edit_json(folder, name, change)`."""

    def edit(folder: Path, name: str, change: Callable[[dict[str, Any]], Any]) -> None:
        tree = json.loads((folder / name).read_text("utf-8"))
        change(tree)
        (folder / name).write_text(json.dumps(tree), "utf-8")

    return edit
