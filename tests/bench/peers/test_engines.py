"""The engines of the other environment, with modules that stand for OpenVINO and CTranslate2."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoModelForSequenceClassification

from distilroberta.bench.harness.workload import Workload
from distilroberta.bench.peers.engines import CTranslate2Model, OpenVinoModel
from distilroberta.bench.peers.models import head_of


@pytest.mark.parametrize("precision", [None, "f32"])
def test_openvino_is_compiled_for_latency(
    monkeypatch: pytest.MonkeyPatch, batch: Workload, precision: str | None
) -> None:
    seen: dict[str, Any] = {}

    class Request:
        def infer(self, feeds: dict[str, Any], **how: bool) -> dict[int, Any]:
            seen.update(feeds=feeds, how=how)
            return {0: np.eye(8, dtype=np.float32)[feeds["input_ids"]]}

    class Core:
        def compile_model(self, model: str, device: str, options: dict[str, Any]) -> Any:
            seen.update(model=model, device=device, options=options)
            return SimpleNamespace(create_infer_request=Request)

    monkeypatch.setitem(sys.modules, "openvino", SimpleNamespace(Core=Core))
    answer = OpenVinoModel("model.xml", 2, precision).answer(batch)
    np.testing.assert_array_equal(answer, np.eye(8)[[5, 5]])  # the masks' own rows
    expected: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": 2}
    if precision:
        expected["INFERENCE_PRECISION_HINT"] = precision
    assert (seen["model"], seen["device"], seen["options"]) == ("model.xml", "CPU", expected)
    np.testing.assert_array_equal(seen["feeds"]["attention_mask"], np.ones((2, 4)))
    assert seen["how"] == {"share_inputs": True, "share_outputs": True}


@pytest.mark.parametrize("task", ["fill-mask", "text-classification"])
def test_the_head_beside_ctranslate2_is_the_models(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    mini: Path,
    classifier: Path,
    batch: Workload,
    task: str,
) -> None:
    if task == "fill-mask":
        model = AutoModelForMaskedLM.from_pretrained(mini).eval()
    else:
        model = AutoModelForSequenceClassification.from_pretrained(classifier).eval()
    np.savez(tmp_path / "head.npz", **head_of(model))

    class Encoder:
        """CTranslate2's part: the hidden states of all tokens."""

        def __init__(self, folder: str, **options: Any) -> None:
            assert folder == "encoder"
            assert options == {
                "device": "cpu",
                "compute_type": "int8",
                "inter_threads": 1,
                "intra_threads": 2,
            }

        def forward_batch(self, ids: Any, lengths: Any) -> Any:
            assert (ids.dtype, lengths.tolist()) == (np.int32, [4, 4])
            with torch.inference_mode():
                states = model.roberta(input_ids=torch.from_numpy(ids).long())
            return SimpleNamespace(last_hidden_state=states.last_hidden_state.numpy())

    view = SimpleNamespace(from_array=lambda array: array)
    fake = SimpleNamespace(Encoder=Encoder, StorageView=view)
    monkeypatch.setitem(sys.modules, "ctranslate2", fake)
    limited: dict[str, int] = {}
    limits = SimpleNamespace(threadpool_limits=lambda n, user_api: limited.update({user_api: n}))
    monkeypatch.setitem(sys.modules, "threadpoolctl", limits)
    found = CTranslate2Model("encoder", str(tmp_path / "head.npz"), 2).answer(batch)
    assert limited == {"blas": 2}  # the head has no more threads than the encoder
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor(batch.ids)).logits.numpy()
    expected = logits[[0, 1], batch.masks] if task == "fill-mask" else logits
    np.testing.assert_allclose(found, expected, atol=1e-4)
