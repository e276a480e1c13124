"""Trained checkpoints and real sentences: the answers are PyTorch's, INT8's nearly so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, RobertaForMaskedLM

from distilroberta.export import build
from distilroberta.runtime import Artifact, pipeline

Same = Callable[..., Any]
SameMaker = Callable[..., Same]

pytestmark = pytest.mark.reality

SENTENCES = 120
# Measured: 88 % of the masks. Each of the 600 weighs 0.17 points.
SAME_TOP = 0.85
ACCURACY_DROP = 0.015

# Printed on the model card of distilbert/distilroberta-base.
CARD_IDS = {
    " business": 265,
    " freelance": 18150,
    " fashion": 2734,
    " role": 774,
    " Playboy": 24526,
    " waiter": 38233,
    " waitress": 35698,
    " bartender": 33080,
    " mechanic": 25682,
    " courier": 37171,
    " nurse": 9008,
    " maid": 29754,
    " capital": 812,
    " birthplace": 32357,
    " busy": 3610,
    " beautiful": 2721,
}


def rows(path: Path) -> list[list[str]]:
    return [line.split("\t") for line in path.read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def masked(reality: Path) -> list[str]:
    """The sentences with one word masked."""
    texts = [row[0] for row in rows(reality / "data" / "masked.tsv")]
    assert len(texts) == 600
    return texts


@pytest.fixture(scope="module")
def reviews(reality: Path) -> list[tuple[str, int]]:
    """The sentences with their labels."""
    found = [(text, int(label)) for text, label in rows(reality / "data" / "sst2-dev.tsv")]
    assert len(found) == 872
    return sorted(found, key=lambda row: len(row[0]))  # batches of like length are quicker


@pytest.fixture(scope="session")
def masked_artifact(reality: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The trained fill-mask checkpoint, built."""
    folder = tmp_path_factory.mktemp("reality") / "mlm"
    return build(reality / "mlm", folder, variants=["fp32", "int8"])


@pytest.fixture(scope="session")
def review_artifact(reality: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The trained sentiment checkpoint, built."""
    folder = tmp_path_factory.mktemp("reality") / "sst2"
    return build(reality / "sst2", folder, variants=["fp32", "int8"])


def test_fill_mask_answers_as_pytorch(
    make_same: SameMaker, reality: Path, masked_artifact: Artifact, masked: list[str]
) -> None:
    same = make_same(reality / "mlm", masked_artifact)
    same(masked[:SENTENCES], top_k=5)


def test_classification_answers_as_pytorch(
    make_same: SameMaker, reality: Path, review_artifact: Artifact, reviews: list[tuple[str, int]]
) -> None:
    same = make_same(reality / "sst2", review_artifact)
    texts = [text for text, _ in reviews[:: len(reviews) // SENTENCES]]
    same(texts)
    same(texts, top_k=None)


def torch_tops(checkpoint: Path, texts: list[str]) -> list[int]:
    """Return PyTorch's best token for the one mask of each text, computed in batches."""
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    model = RobertaForMaskedLM.from_pretrained(checkpoint, dtype=torch.float32).eval()
    tops: dict[str, int] = {}
    by_length = sorted(texts, key=len)
    for start in range(0, len(texts), 32):
        batch = by_length[start : start + 32]
        inputs = tokenizer(batch, return_tensors="pt", padding=True)
        masks = inputs["input_ids"] == tokenizer.mask_token_id
        assert masks.sum().item() == len(batch)
        with torch.inference_mode():
            hidden = model.roberta(**inputs).last_hidden_state[masks]
            best = model.lm_head(hidden).argmax(dim=-1).tolist()
        tops |= dict(zip(batch, best, strict=True))
    return [tops[text] for text in texts]


def test_int8_keeps_the_best_token(
    reality: Path, masked_artifact: Artifact, masked: list[str]
) -> None:
    fill = pipeline("fill-mask", masked_artifact, variant="int8", threads=1, top_k=1)
    found = [answer[0]["token"] for answer in fill(masked)]
    expected = torch_tops(reality / "mlm", masked)
    assert np.mean(np.equal(found, expected)) >= SAME_TOP


def accuracy(
    artifact: Artifact, variant: str, batch_size: int, reviews: list[tuple[str, int]]
) -> float:
    pipe = pipeline(None, artifact, variant=variant, threads=1, batch_size=batch_size)
    answers = pipe([text for text, _ in reviews])
    labels = ["NEGATIVE", "POSITIVE"]
    right = [
        labels[label] == row["label"] for (_, label), row in zip(reviews, answers, strict=True)
    ]
    return float(np.mean(right))


def test_int8_classifies_as_well(review_artifact: Artifact, reviews: list[tuple[str, int]]) -> None:
    exact = accuracy(review_artifact, "fp32", 16, reviews)
    assert exact == pytest.approx(0.858, abs=0.002)  # what the checkpoint came with
    assert accuracy(review_artifact, "int8", 1, reviews) >= exact - ACCURACY_DROP


def test_tokenizer_gives_the_ids_of_the_model_card(masked_artifact: Artifact) -> None:
    fill = pipeline("fill-mask", masked_artifact)
    found = {word: fill.tokenizer.encode([word])[0].ids[1:-1] for word in CARD_IDS}
    assert found == {word: [index] for word, index in CARD_IDS.items()}
    assert {fill.tokenizer.decode([index]): index for index in CARD_IDS.values()} == CARD_IDS


def test_targets_of_the_real_vocabulary(
    make_same: SameMaker, reality: Path, masked_artifact: Artifact
) -> None:
    same = make_same(reality / "mlm", masked_artifact)
    text = "Paris is the <mask> of France."
    same(text, targets=["Ġcapital", "Ġbirthplace", "capital"])
    with pytest.warns(UserWarning, match="' capital' is no vocabulary entry; 'Ġcapital'"):
        answer = same(text, targets=" capital")
    assert [row["token"] for row in answer] == [812]
