"""Trained checkpoints and real sentences: the answers are PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distilroberta.export import build
from distilroberta.runtime import Artifact, pipeline

Same = Callable[..., Any]
SameMaker = Callable[..., Same]

pytestmark = pytest.mark.reality

SENTENCES = 120

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
def reviews(reality: Path) -> list[str]:
    """Sentences of reviews."""
    found = [text for text, _ in rows(reality / "data" / "sst2-dev.tsv")]
    assert len(found) == 872
    return found


@pytest.fixture(scope="session")
def masked_artifact(reality: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The trained fill-mask checkpoint, built."""
    folder = tmp_path_factory.mktemp("reality") / "mlm"
    return build(reality / "mlm", folder, variants=["fp32"])


@pytest.fixture(scope="session")
def review_artifact(reality: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The trained sentiment checkpoint, built."""
    folder = tmp_path_factory.mktemp("reality") / "sst2"
    return build(reality / "sst2", folder, variants=["fp32"])


def test_fill_mask_answers_as_pytorch(
    make_same: SameMaker, reality: Path, masked_artifact: Artifact, masked: list[str]
) -> None:
    same = make_same(reality / "mlm", masked_artifact)
    same(masked[:SENTENCES], top_k=5)


def test_classification_answers_as_pytorch(
    make_same: SameMaker, reality: Path, review_artifact: Artifact, reviews: list[str]
) -> None:
    same = make_same(reality / "sst2", review_artifact)
    texts = reviews[:: len(reviews) // SENTENCES]
    same(texts)
    same(texts, top_k=None)


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
