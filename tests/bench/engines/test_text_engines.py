from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from distilroberta.bench.engines.text_engines import (
    ArtifactTexts,
    OptimumTexts,
    TransformersTexts,
    scores,
)
from distilroberta.bench.harness.workload import Workload
from distilroberta.bench.models import optimum_export
from distilroberta.runtime import Artifact

LONG = "The old town was closed for a week. " * 30  # more than the model takes
TEXTS = Workload("texts", ("A good one.", LONG, "", "It was closed, and nobody came."), (), ())


@pytest.fixture(scope="module")
def expected(classifier: Path) -> np.ndarray:
    """Log-probabilities by PyTorch, each text by itself, the labels in their names' order."""
    model = AutoModelForSequenceClassification.from_pretrained(classifier).eval()
    tokenizer = AutoTokenizer.from_pretrained(classifier)
    names = model.config.id2label
    rows = []
    for text in TEXTS.texts:
        feeds = tokenizer(text, truncation=True, max_length=64, return_tensors="pt")
        with torch.inference_mode():
            row = model(**feeds).logits[0].log_softmax(dim=-1).numpy()
        rows.append([row[index] for index in sorted(names, key=names.__getitem__)])
    return np.array(rows)


def test_ours(classifier_artifact: Artifact, expected: np.ndarray) -> None:
    path = str(classifier_artifact.path)
    engine = ArtifactTexts(path, "fp32", 1)
    np.testing.assert_allclose(engine.answer(TEXTS), expected, atol=1e-3)
    alone = ArtifactTexts(path, "int8", 1, batch_size=1)
    assert alone.answer(TEXTS).shape == expected.shape
    assert len(alone.call(TEXTS)()) == len(TEXTS.texts)


@pytest.mark.parametrize("size", [1, 3])
def test_transformers(classifier: Path, expected: np.ndarray, size: int) -> None:
    engine = TransformersTexts(str(classifier), 1, size)
    np.testing.assert_allclose(engine.answer(TEXTS), expected, atol=1e-3)
    answers = engine.call(TEXTS)()
    labels = sorted(("bad", "so-so", "good"))
    assert [one["label"] for one in answers] == [labels[best] for best in expected.argmax(axis=1)]


def test_optimum(tmp_path: Path, classifier: Path, expected: np.ndarray) -> None:
    made = optimum_export.export(classifier, tmp_path, "text-classification")
    exact = OptimumTexts(str(made.untied), optimum_export.FP32, 1, 2)
    np.testing.assert_allclose(exact.answer(TEXTS), expected, atol=1e-3)
    rough = OptimumTexts(str(made.untied), optimum_export.INT8, 1, 2)
    assert not np.allclose(rough.answer(TEXTS), expected, atol=1e-3)
    assert len(rough.call(TEXTS)()) == len(TEXTS.texts)


def test_labels_come_in_the_order_of_their_names() -> None:
    answers = [
        [{"label": "b", "score": 0.25}, {"label": "a", "score": 0.75}],
        [{"label": "a", "score": 0.5}, {"label": "b", "score": 0.5}],
    ]
    np.testing.assert_allclose(np.exp(scores(answers)), [[0.75, 0.25], [0.5, 0.5]], rtol=1e-6)
