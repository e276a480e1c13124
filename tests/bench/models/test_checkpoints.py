from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from distilroberta.bench.harness.workload import Shape
from distilroberta.bench.models import texts
from distilroberta.bench.models.checkpoints import DISTILROBERTA, random_checkpoint
from distilroberta.runtime import CheckpointError, InputError

SMALL: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_checkpoint(tmp_path_factory.mktemp("random"), **SMALL)


def test_it_loads_with_the_real_vocabulary(checkpoint: Path) -> None:
    model = AutoModelForMaskedLM.from_pretrained(checkpoint)
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    assert len(tokenizer) == model.config.vocab_size == DISTILROBERTA["vocab_size"] == 50265
    assert model.config.max_position_embeddings == 514
    assert model.config.type_vocab_size == 1
    assert (checkpoint / "model.safetensors").is_file()
    encoded = tokenizer(f"Paris is the {tokenizer.mask_token} of France.", return_tensors="pt")
    assert (encoded.input_ids == tokenizer.mask_token_id).sum() == 1
    assert model(**encoded).logits.shape == (*encoded.input_ids.shape, 50265)


def test_a_classifier(tmp_path: Path) -> None:
    folder = random_checkpoint(tmp_path, task="text-classification", **SMALL)
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    assert model.config.num_labels == model.classifier.out_proj.out_features == 28
    assert model.config.vocab_size == 50265


def test_fillers_change_no_text(checkpoint: Path, mini: Path) -> None:
    filled, bundled = (AutoTokenizer.from_pretrained(folder) for folder in (checkpoint, mini))
    text = "What filler8000 does <mask> to a text? Ünïcode, too."
    assert filled(text).input_ids == bundled(text).input_ids
    assert filled.decode([50264]) == " filler50264"


def test_the_seed_decides_and_nothing_else(tmp_path: Path) -> None:
    torch.manual_seed(7)
    state = torch.random.get_rng_state()
    one, same, other = (
        random_checkpoint(tmp_path / name, seed=seed, **SMALL) / "model.safetensors"
        for name, seed in (("one", 1), ("same", 1), ("other", 2))
    )
    assert torch.equal(torch.random.get_rng_state(), state)
    assert one.read_bytes() == same.read_bytes() != other.read_bytes()


def test_a_tokenizer_that_does_not_fit_is_refused(tmp_path: Path, mini: Path) -> None:
    with pytest.raises(CheckpointError, match="more than the model's vocabulary of 100"):
        random_checkpoint(tmp_path / "a", vocab_size=100, **SMALL)
    with pytest.raises(CheckpointError, match="nowhere"):
        random_checkpoint(tmp_path / "b", tokenizer=tmp_path / "nowhere", **SMALL)
    tree = json.loads((mini / "tokenizer.json").read_text("utf-8"))
    tree["added_tokens"] = [t for t in tree["added_tokens"] if t["content"] != "<mask>"]
    (tmp_path / "tokenizer.json").write_text(json.dumps(tree), "utf-8")
    with pytest.raises(CheckpointError, match="has no <mask>"):
        random_checkpoint(tmp_path / "c", tokenizer=tmp_path, **SMALL)


@pytest.mark.parametrize("length", [7, 16, 128, 511, 512])
def test_texts_have_exactly_as_many_tokens(checkpoint: Path, length: int) -> None:
    (workload,) = texts.workloads(checkpoint / "tokenizer.json", [Shape(3, length)], 512)
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    assert workload.name == f"3 x {length} tokens"
    assert len(workload.texts) == len(workload.ids) == len(workload.masks) == 3
    for text, ids, mask in zip(workload.texts, workload.ids, workload.masks, strict=True):
        assert tokenizer(text).input_ids == list(ids)
        assert len(ids) == length
        assert ids[mask] == tokenizer.mask_token_id
        assert ids.count(tokenizer.mask_token_id) == 1
    assert len(set(workload.texts)) == 3


@pytest.mark.parametrize(("length", "says"), [(513, "the model takes 512"), (2, "no text of 2")])
def test_a_length_that_can_not_be_had_is_refused(checkpoint: Path, length: int, says: str) -> None:
    with pytest.raises(InputError, match=says):
        texts.workloads(checkpoint / "tokenizer.json", [Shape(1, length)], 512)
