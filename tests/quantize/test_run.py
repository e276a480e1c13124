"""Running graphs in memory: what comes out, what is left behind, and a full disk."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from distilroberta.quantize import run
from distilroberta.quantize.errors import QuantizationError

Feeds = dict[str, NDArray[Any]]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder temporary files go to, empty."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_outputs_are_those_of_the_reference_evaluator(
    classifier_graph: onnx.ModelProto, feeds: Feeds, temporary: Path
) -> None:
    session = run.session(classifier_graph)
    assert not list(temporary.iterdir())
    (found,) = run.outputs(session, {**feeds, "token_type_ids": feeds["input_ids"]})
    (expected,) = ReferenceEvaluator(classifier_graph).run(None, feeds)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_full_disk_is_said(
    classifier_graph: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(onnx, "save", save)
    with pytest.raises(QuantizationError, match=r"No space left on device.*TMPDIR"):
        run.session(classifier_graph)
