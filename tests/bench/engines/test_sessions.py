from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from distilroberta.bench.engines.sessions import (
    ArtifactPipeline,
    ArtifactSession,
    OnnxSession,
    read,
)
from distilroberta.bench.harness.answers import cosine
from distilroberta.bench.harness.workload import Shape, Workload
from distilroberta.bench.models.texts import of_artifact
from distilroberta.runtime import Artifact, ProviderError


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


ARTIFACTS = (
    "mini_artifact",
    "classifier_artifact",
    "tagger_artifact",
    "answerer_artifact",
    "embedder_artifact",
)


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("fixture", ARTIFACTS)
def test_a_pipeline_answers_what_the_graph_does(
    fixture: str, rows: int, request: pytest.FixtureRequest
) -> None:
    artifact: Artifact = request.getfixturevalue(fixture)
    (workload,) = of_artifact(artifact, [Shape(rows, 12)])
    arguments = (str(artifact.path), "fp32", 1)
    graph, pipe = ArtifactSession(*arguments), ArtifactPipeline(*arguments)
    found = pipe.answer(workload)
    if artifact.task == "feature-extraction":  # vectors of texts, not of the masks
        expected = np.mean(graph.call(workload)(), axis=1)
    elif artifact.task == "text-classification":  # by the names of the labels
        expected = graph.answer(workload)[:, [0, 2, 1]]
    else:
        expected = graph.answer(workload)
    assert found.shape == expected.shape
    assert cosine(found, expected) > 0.9999
    answers = pipe.call(workload)()
    assert answers is not None
    many = rows > 1
    assert (len(answers) == rows and isinstance(answers, (list, np.ndarray))) or not many


@pytest.mark.parametrize("fixture", ARTIFACTS)
def test_int8_is_not_taken_for_something_else(fixture: str, request: pytest.FixtureRequest) -> None:
    """Nor other texts' answers for the right ones: what is compared tells answers apart."""
    artifact: Artifact = request.getfixturevalue(fixture)
    ours, others = of_artifact(artifact, [Shape(4, 12), Shape(5, 12)])
    others = replace(others, texts=others.texts[1:], ids=others.ids[1:], masks=others.masks[1:])
    right = ArtifactPipeline(str(artifact.path), "fp32", 1)
    int8 = ArtifactPipeline(str(artifact.path), "int8", 1)
    expected = right.answer(ours)
    assert cosine(int8.answer(ours), expected) > 0.98
    assert cosine(right.answer(others), expected) < 0.98


def test_the_tokens_of_a_tagger_and_both_ends_of_an_answer_are_read(
    tagger_artifact: Artifact, answerer_artifact: Artifact
) -> None:
    (batch,) = of_artifact(tagger_artifact, [Shape(2, 12)])
    tags = ArtifactSession(str(tagger_artifact.path), "fp32", 1)
    assert tags.answer(batch).shape == (2 * 12, 5)
    ends = ArtifactSession(str(answerer_artifact.path), "fp32", 1)
    starts_and_ends = ends.call(batch)()
    np.testing.assert_array_equal(ends.answer(batch), np.vstack(starts_and_ends))


def test_one_label_is_compared_from_text_to_text(batch: Workload) -> None:
    # Less its own mean, a row of one label would be nothing.
    scores = np.array([[1.5], [-2.0]], dtype=np.float32)
    np.testing.assert_array_equal(read(scores, batch), [[1.5, -2.0]])


def test_a_provider_that_is_not_there(mini_artifact: Artifact) -> None:
    for engine in (ArtifactSession, ArtifactPipeline):
        with pytest.raises(ProviderError, match="provider tensorrt needs"):
            engine(str(mini_artifact.path), "fp32", 1, provider="tensorrt")


def test_a_masked_text_is_compared_through_the_pipelines_tokenizer_and_model(
    mini_artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    (batch,) = of_artifact(mini_artifact, [Shape(3, 12)])
    engine = ArtifactPipeline(str(mini_artifact.path), "fp32", 1)
    expected = engine.answer(batch)
    # Not through the ids that a bare session is given, nor through dictionaries.
    monkeypatch.setattr(engine._pipe, "_candidate", None)
    other = replace(batch, ids=tuple(tuple(reversed(row)) for row in batch.ids))
    np.testing.assert_array_equal(engine.answer(other), expected)
    session = ArtifactSession(str(mini_artifact.path), "int8", 1)._session
    monkeypatch.setattr(engine._pipe, "session", session)
    assert not np.array_equal(engine.answer(batch), expected)
