from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from distilroberta.bench.errors import BenchError
from distilroberta.bench.peers import environment as peer_environment
from distilroberta.runtime import InputError

# All that the other environment must have of this project, and what it need not have.
IMPORTED = ("harness.worker", "peers.engines", "peers.models")
LACKING = ("onnxruntime", "tokenizers", "typer", "rich", "onnx", "torch", "transformers")
PROBE = f"""\
import importlib, sys
sys.modules.update(dict.fromkeys({LACKING!r}))
for name in {IMPORTED!r}:
    importlib.import_module("distilroberta.bench." + name)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / peer_environment.REQUIREMENTS).write_text("openvino==1\n", "utf-8")
    return folder


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What is run; nothing is installed. A word `broken` in a path makes it fail."""
    seen: list[list[str]] = []

    def run(command: list[Any], **_: Any) -> subprocess.CompletedProcess[str]:
        words = [str(word) for word in command]
        seen.append(words)
        code = int("broken" in " ".join(words))
        return subprocess.CompletedProcess(words, code, "", "looking\nno such release\n")

    def create(folder: Path, *, with_pip: bool) -> None:
        assert with_pip
        python = folder / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.touch()

    monkeypatch.setattr(peer_environment.subprocess, "run", run)
    monkeypatch.setattr(peer_environment.venv, "create", create)
    return seen


def test_what_the_other_environment_imports_needs_numpy_alone() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_the_environment_gets_the_engines_and_the_clone(
    tmp_path: Path, project: Path, commands: list[list[str]]
) -> None:
    folder = tmp_path / "peers"
    python = peer_environment.make(folder, project)
    assert python == peer_environment.interpreter(folder)
    assert {words[0] for words in commands} == {str(python)}
    installed = [
        " ".join(words[words.index("--disable-pip-version-check") + 1 :]) for words in commands
    ]
    assert installed == [
        f"install -r {project}/requirements-peers.txt",
        f"install --no-deps --editable {project}",
        "uninstall --yes openvino-telemetry",
    ]


def test_an_environment_that_is_there_is_completed(
    tmp_path: Path, project: Path, commands: list[list[str]]
) -> None:
    folder = tmp_path / "broken peers"
    peer_environment.venv.create(folder, with_pip=True)
    with pytest.raises(BenchError, match="pip install failed: looking no such release"):
        peer_environment.make(folder, project)
    assert peer_environment.interpreter(folder).is_file()


def test_a_failure_leaves_no_environment(
    tmp_path: Path, project: Path, commands: list[list[str]]
) -> None:
    with pytest.raises(BenchError, match="broken could not be made: pip install failed"):
        peer_environment.make(tmp_path / "broken", project)
    assert not (tmp_path / "broken").exists()


def test_a_folder_of_something_else_is_left_alone(
    tmp_path: Path, project: Path, commands: list[list[str]]
) -> None:
    with pytest.raises(InputError, match="no Python environment: name another folder"):
        peer_environment.make(project, project)
    with pytest.raises(InputError, match=r"has no requirements-peers.txt: run this in a clone"):
        peer_environment.make(tmp_path / "peers", tmp_path)
    with pytest.raises(InputError, match=r"make one with `distilroberta bench peers-env.*`"):
        peer_environment.interpreter(tmp_path)
    assert commands == []


def test_every_requirement_has_one_version() -> None:
    text = (peer_environment.PROJECT / peer_environment.REQUIREMENTS).read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    pairs = [line.split("==") for line in lines]
    assert all(len(pair) == 2 and ";" not in line for pair, line in zip(pairs, lines, strict=True))
    names = [name for name, _ in pairs]
    assert {"openvino", "nncf", "ctranslate2", "torch", "transformers"} <= set(names)
    assert len(set(names)) == len(names)
