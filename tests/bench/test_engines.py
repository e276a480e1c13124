from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from distilroberta.bench.engines import ArtifactPipeline, ArtifactSession, OnnxSession
from distilroberta.bench.texts import of_artifact
from distilroberta.bench.workload import Shape, Workload
from distilroberta.runtime import Artifact


def graph(path: Path, shape: list[str | int], nodes: list[onnx.NodeProto]) -> str:
    """Write a graph of token ids and mask with float logits of a shape."""
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"])
        for name in ("input_ids", "attention_mask")
    ]
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, shape)
    depth = helper.make_tensor("depth", TensorProto.INT64, [], [8])
    values = helper.make_tensor("values", TensorProto.FLOAT, [2], [0, 1])
    model = helper.make_model(
        helper.make_graph(nodes, "graph", inputs, [logits], [depth, values]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.save(model, str(path))
    return str(path)


def test_a_standard_fill_mask_graph_is_read_at_the_masks(tmp_path: Path, batch: Workload) -> None:
    # The logits of a token are 1 at its own id, so those of a mask are 1 at the mask's.
    nodes = [helper.make_node("OneHot", ["input_ids", "depth", "values"], ["logits"])]
    path = graph(tmp_path / "model.onnx", ["batch", "length", 8], nodes)
    expected = np.eye(8)[[5, 5]]
    np.testing.assert_array_equal(OnnxSession(path, 1).answer(batch), expected)


def test_a_classifier_is_read_whole(tmp_path: Path, batch: Workload) -> None:
    nodes = [
        helper.make_node("Mul", ["input_ids", "attention_mask"], ["kept"]),
        helper.make_node("Cast", ["kept"], ["logits"], to=TensorProto.FLOAT),
    ]
    path = graph(tmp_path / "model.onnx", ["batch", "length"], nodes)
    np.testing.assert_array_equal(OnnxSession(path, 1).answer(batch), np.array(batch.ids))


def test_our_session_answers_a_batch_as_it_does_each_text(mini_artifact: Artifact) -> None:
    (batch,) = of_artifact(mini_artifact, [Shape(2, 12)])
    session = ArtifactSession(str(mini_artifact.path), "fp32", 1)
    together = session.answer(batch)
    assert together.shape[0] == 2
    for row in range(2):
        alone = Workload("alone", batch.texts[row:][:1], batch.ids[row:][:1], batch.masks[row:][:1])
        np.testing.assert_allclose(session.answer(alone), together[row : row + 1], atol=1e-4)


def test_a_pipeline_takes_one_text(mini_artifact: Artifact, batch: Workload) -> None:
    (one,) = of_artifact(mini_artifact, [Shape(1, 12)])
    pipeline = ArtifactPipeline(str(mini_artifact.path), "fp32", 1)
    logits = ArtifactSession(str(mini_artifact.path), "fp32", 1).answer(one)
    found = pipeline.answer(one)
    assert found.shape == logits.shape
    np.testing.assert_allclose(found - found.max(), logits - logits.max(), atol=1e-3)
    with pytest.raises(ValueError, match="too many values"):
        pipeline.answer(batch)
