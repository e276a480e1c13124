"""Files that were changed since they were loaded are noticed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from distilroberta.runtime import ArtifactError
from distilroberta.runtime.digest import sha256_of
from distilroberta.runtime.execution.graph_files import GraphFiles


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """A file that stands for a graph."""
    path = tmp_path / "graph.onnx"
    path.write_bytes(b"as it was")
    return path


def files_of(graph: Path) -> GraphFiles:
    return GraphFiles({graph: sha256_of(graph)})


def test_unchanged(graph: Path) -> None:
    files_of(graph).check_unchanged()


def test_same_content_in_another_file(graph: Path) -> None:
    """As after the artifact was copied to its place once more."""
    files = files_of(graph)
    graph.unlink()
    graph.write_bytes(b"as it was")
    os.utime(graph, ns=(1, 1))
    files.check_unchanged()


@pytest.mark.parametrize("content", [b"as it wa5", b"longer than it was"])
def test_other_content(graph: Path, content: bytes) -> None:
    files = files_of(graph)
    graph.write_bytes(content)
    os.utime(graph, ns=(1, 1))
    with pytest.raises(ArtifactError, match=r"graph.onnx was changed since it was loaded"):
        files.check_unchanged()


def test_a_file_it_reads(graph: Path, tmp_path: Path) -> None:
    weights = tmp_path / "weights.onnx"
    weights.write_bytes(b"weights")
    files = GraphFiles({graph: sha256_of(graph), weights: sha256_of(weights)})
    weights.write_bytes(b"others")
    with pytest.raises(ArtifactError, match=r"weights.onnx was changed"):
        files.check_unchanged()


def test_unknown_digest(graph: Path) -> None:
    files = GraphFiles({graph: None})
    files.check_unchanged()
    os.utime(graph, ns=(1, 1))
    with pytest.raises(ArtifactError, match="was changed"):
        files.check_unchanged()


def test_file_that_is_gone(graph: Path) -> None:
    files = files_of(graph)
    graph.unlink()
    with pytest.raises(ArtifactError, match=r"graph.onnx can't be read \(No such file"):
        files.check_unchanged()


def test_digest_is_of_the_content(graph: Path) -> None:
    known, unknown = files_of(graph), GraphFiles({graph: None})
    assert known.digest() == unknown.digest()
    graph.write_bytes(b"something else")
    assert files_of(graph).digest() != known.digest()
