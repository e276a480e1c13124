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


def test_graph_that_onnxruntime_refuses_is_one_line(
    classifier_graph: onnx.ModelProto, feeds: Feeds, temporary: Path
) -> None:
    broken = onnx.ModelProto.FromString(classifier_graph.SerializeToString())
    broken.graph.node[0].op_type = "NoSuchOperator"
    with pytest.raises(
        QuantizationError, match=r"^onnxruntime .* can't load graph\.onnx: "
    ) as error:
        run.session(broken)
    assert "\n" not in str(error.value)
    assert not list(temporary.iterdir())


def test_batch_that_a_graph_can_not_take_is_one_line(
    classifier_graph: onnx.ModelProto, feeds: Feeds
) -> None:
    session = run.session(classifier_graph)
    wrong = {**feeds, "input_ids": np.full_like(feeds["input_ids"], 10**6)}
    with pytest.raises(QuantizationError, match=r"^onnxruntime .* can't run a graph") as error:
        run.outputs(session, wrong)
    assert "\n" not in str(error.value)


def test_file_that_is_no_graph_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"no graph")
    with pytest.raises(
        QuantizationError, match=r"can't load model\.onnx: .*leave this variant out$"
    ):
        run.load(path)


def test_full_disk_is_said(
    classifier_graph: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(onnx, "save", save)
    with pytest.raises(QuantizationError, match=r"No space left on device.*TMPDIR"):
        run.session(classifier_graph)
