from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoModelForSequenceClassification

from distilroberta.bench.engines.sessions import OnnxSession
from distilroberta.bench.errors import BenchError
from distilroberta.bench.harness.answers import cosine
from distilroberta.bench.harness.workload import Workload
from distilroberta.bench.models import optimum_export


def test_a_classifier_has_one_file_of_each_kind(
    tmp_path: Path, classifier: Path, batch: Workload
) -> None:
    made = optimum_export.export(classifier, tmp_path, "text-classification")
    assert made.folders == {"": tmp_path / "untied"}
    model = AutoModelForSequenceClassification.from_pretrained(classifier).eval()
    with torch.inference_mode():
        expected = model(input_ids=torch.tensor(batch.ids)).logits.numpy()
    np.testing.assert_allclose(OnnxSession(str(made.fp32), 1).answer(batch), expected, atol=1e-4)
    for path in (made.untied / optimum_export.INT8, made.plain_int8):
        assert path.stat().st_size < made.fp32.stat().st_size / 2
        assert cosine(OnnxSession(str(path), 1).answer(batch), expected) > 0.9


def test_fill_mask_has_the_embedding_once_and_twice(
    tmp_path: Path, mini: Path, batch: Workload
) -> None:
    made = optimum_export.export(mini, tmp_path)
    assert list(made.folders) == ["tied", "untied"]
    once, twice = (folder / optimum_export.FP32 for folder in made.folders.values())
    assert made.fp32 == twice
    assert made.plain_int8.parent == once.parent
    model = AutoModelForMaskedLM.from_pretrained(mini).eval()
    embedding = model.roberta.embeddings.word_embeddings.weight.numel() * 4
    assert twice.stat().st_size - once.stat().st_size == pytest.approx(embedding, rel=0.01)
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor(batch.ids)).logits.numpy()
    expected = logits[[0, 1], batch.masks]
    for path in (once, twice):
        np.testing.assert_allclose(OnnxSession(str(path), 1).answer(batch), expected, atol=1e-3)


def test_what_can_not_be_exported(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="optimum could not export"):
        optimum_export.export(tmp_path / "nowhere", tmp_path / "made")
