from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoModelForSequenceClassification

from distilroberta.bench.engines.pipeline_engines import OptimumPipeline, TransformersPipeline
from distilroberta.bench.harness.workload import Shape, Workload
from distilroberta.bench.models import optimum_export, texts
from distilroberta.runtime import layout

TASKS = ("fill-mask", "text-classification")


@pytest.fixture(scope="module")
def workloads(mini: Path) -> list[Workload]:
    return texts.workloads(mini / layout.TOKENIZER, [Shape(1, 12), Shape(3, 10)], 62)


@pytest.fixture(params=TASKS)
def task(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def checkpoint(task: str, mini: Path, classifier: Path) -> Path:
    return mini if task == "fill-mask" else classifier


def expected(task: str, checkpoint: Path, workload: Workload) -> np.ndarray:
    """Log-probabilities by PyTorch: of the masks, or of the labels in their names' order."""
    kinds = {"fill-mask": AutoModelForMaskedLM}
    model = kinds.get(task, AutoModelForSequenceClassification).from_pretrained(checkpoint).eval()
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor(workload.ids)).logits
    if task == "fill-mask":
        return logits[range(len(workload.ids)), workload.masks].log_softmax(dim=-1).numpy()
    names = model.config.id2label
    order = sorted(names, key=names.__getitem__)
    return logits.log_softmax(dim=-1).numpy()[:, order]


def test_transformers_on_torch(task: str, checkpoint: Path, workloads: list[Workload]) -> None:
    engine = TransformersPipeline(str(checkpoint), task, 1)
    for workload in workloads:
        right = expected(task, checkpoint, workload)
        np.testing.assert_allclose(engine.answer(workload), right, atol=2e-3)
    one, several = (engine.call(workload)() for workload in workloads)
    assert [len(several), len(one)] == [3, 5 if task == "fill-mask" else 1]


def test_transformers_on_optimum(
    tmp_path: Path, task: str, checkpoint: Path, workloads: list[Workload]
) -> None:
    folder = optimum_export.export(checkpoint, tmp_path, task, tied=False).untied
    exact = OptimumPipeline(str(folder), optimum_export.FP32, task, 1)
    rough = OptimumPipeline(str(folder), optimum_export.INT8, task, 1)
    for workload in workloads:
        right = expected(task, checkpoint, workload)
        np.testing.assert_allclose(exact.answer(workload), right, atol=2e-3)
        found = rough.answer(workload)
        assert found.shape == right.shape
        assert not np.allclose(found, right, atol=2e-3)


def test_the_texts_of_a_call_are_one_batch(
    classifier: Path, workloads: list[Workload], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = TransformersPipeline(str(classifier), "text-classification", 1)
    seen = []
    forward = engine._pipe.model.forward

    def watched(input_ids: torch.Tensor, **more: torch.Tensor) -> object:
        seen.append((tuple(input_ids.shape), torch.is_grad_enabled()))
        return forward(input_ids=input_ids, **more)

    monkeypatch.setattr(engine._pipe.model, "forward", watched)
    for workload in workloads:
        engine.call(workload)()
    assert seen == [((1, 12), False), ((3, 10), False)]
