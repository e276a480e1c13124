"""An artifact and a session travel as a path and a digest, and are verified where they arrive."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distilroberta.runtime import Artifact, ArtifactError
from distilroberta.runtime.execution.provider_options import CpuOptions
from distilroberta.runtime.execution.session import Session

IDS = np.array([[0, 17, 60, 33, 2]])
MASK = np.ones_like(IDS)


@pytest.fixture
def copied(classifier_artifact: Artifact, tmp_path: Path) -> Artifact:
    """An artifact that a test may change."""
    return Artifact(shutil.copytree(classifier_artifact.path, tmp_path / "artifact"))


def loads(travelled: bytes) -> Any:
    return pickle.loads(travelled)  # noqa: S301, it was made here


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_artifact(copied: Artifact) -> None:
    found = loads(pickle.dumps(copied))
    assert found.path == copied.path
    assert found.manifest == copied.manifest


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_session(copied: Artifact, protocol: int) -> None:
    options = CpuOptions(release_tokens=100)
    session = copied.session("int8", provider=options, threads=1)
    expected = session.run(IDS, MASK)
    travels = pickle.dumps(session, protocol)
    found = loads(travels)
    np.testing.assert_array_equal(found.run(IDS, MASK), expected)
    assert (found.variant, found.options, found.threads) == ("int8", options, 1)
    assert len(travels) < 1000
    np.testing.assert_array_equal(session.run(IDS, MASK), expected)


def test_threads_that_were_not_asked_for_are_those_of_the_other_side(
    copied: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    travels = pickle.dumps(copied.session("int8", provider="cpu"))
    monkeypatch.setattr("distilroberta.runtime.execution.session.usable_cpus", lambda: 3)
    assert loads(travels).threads == 3


@pytest.mark.parametrize("what", ["artifact", "session"])
def test_another_artifact_at_its_path(copied: Artifact, mini_artifact: Artifact, what: str) -> None:
    travels = pickle.dumps(copied if what == "artifact" else copied.session(provider="cpu"))
    shutil.rmtree(copied.path)
    shutil.copytree(mini_artifact.path, copied.path)
    with pytest.raises(ArtifactError, match="is not the artifact that was pickled: its manifest"):
        loads(travels)


def test_no_artifact_at_its_path(copied: Artifact) -> None:
    travels = pickle.dumps(copied)
    shutil.rmtree(copied.path)
    with pytest.raises(ArtifactError, match="is not a folder"):
        loads(travels)


@pytest.mark.parametrize("name", ["onnx/model_quantized.onnx", "tokenizer.json", "config.json"])
def test_file_that_was_changed(copied: Artifact, name: str) -> None:
    travels = pickle.dumps(copied.session("int8", provider="cpu"))
    flip_a_bit(copied.path / name)
    with pytest.raises(ArtifactError, match=f"{name} was changed: its SHA-256 is"):
        loads(travels)


def test_file_of_another_variant_is_not_read(copied: Artifact) -> None:
    travels = pickle.dumps(copied.session("int8", provider="cpu"))
    flip_a_bit(copied.path / copied.variant("fp32").graph)
    assert loads(travels).variant == "int8"


def test_relative_path_and_another_working_folder(
    copied: Artifact, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(copied.path.parent)
    travels = pickle.dumps(Artifact(copied.path.name))
    monkeypatch.chdir(tmp_path.parent)
    assert loads(travels).path == copied.path


def test_session_without_an_artifact(copied: Artifact) -> None:
    spec = copied.variant("fp32")
    session = Session("fp32", copied.path / spec.graph, spec, "cpu", 1)
    with pytest.raises(TypeError, match="only a session that an artifact opened can be pickled"):
        pickle.dumps(session)
