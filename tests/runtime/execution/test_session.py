"""What a session gives, for tasks of one output and of several, is what PyTorch gives."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import (
    AutoTokenizer,
    RobertaForQuestionAnswering,
    RobertaForTokenClassification,
)

from distilroberta.export import build
from distilroberta.runtime import Artifact, ArtifactError

Editor = Callable[..., None]
Ids = NDArray[np.int64]

TOLERANCE = 1e-4
# The lowest correlation of a smaller variant's logits with PyTorch's, on random weights.
SAME_MODEL = 0.95

TEXTS = [
    "Paris is the capital of France.",
    "In 1969, two astronauts walked on the moon while a third stayed in orbit.",
    "Yes.",
]
PAIRS = [
    ("Who stayed in orbit?", TEXTS[1]),
    ("What is the capital of France?", TEXTS[0]),
    ("Is it?", TEXTS[2]),
]

SENTENCES = 120


def padded(checkpoint: Path, texts: list[Any]) -> tuple[Ids, Ids]:
    """Encode texts or pairs of texts as one batch."""
    encoded = AutoTokenizer.from_pretrained(checkpoint)(texts, padding=True, return_tensors="np")
    assert (encoded["attention_mask"] == 0).any()
    return encoded["input_ids"], encoded["attention_mask"]


def of_pytorch(kind: Any, checkpoint: Path, ids: Ids, mask: Ids) -> Any:
    model = kind.from_pretrained(checkpoint, dtype=torch.float32).eval()
    with torch.inference_mode():
        return model(input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask))


def test_token_classification_gives_one_array(tagger: Path, tagger_artifact: Artifact) -> None:
    ids, mask = padded(tagger, TEXTS)
    expected = of_pytorch(RobertaForTokenClassification, tagger, ids, mask).logits.numpy()
    for variant in tagger_artifact.variants:
        found = tagger_artifact.session(variant, provider="cpu", threads=1).run(ids, mask)
        assert isinstance(found, np.ndarray)
        assert (found.dtype, found.shape) == (np.float32, (*ids.shape, 5))
        pair = found[mask == 1], expected[mask == 1]
        assert np.corrcoef(*map(np.ravel, pair))[0, 1] > SAME_MODEL, variant
        if variant == "fp32":
            np.testing.assert_allclose(*pair, rtol=0, atol=TOLERANCE)


def test_question_answering_gives_start_and_end(
    answerer: Path, answerer_artifact: Artifact
) -> None:
    ids, mask = padded(answerer, PAIRS)
    output = of_pytorch(RobertaForQuestionAnswering, answerer, ids, mask)
    expected = output.start_logits.numpy(), output.end_logits.numpy()
    for variant in answerer_artifact.variants:
        found = answerer_artifact.session(variant, provider="cpu", threads=1).run(ids, mask)
        assert isinstance(found, tuple)
        for ours, theirs in zip(found, expected, strict=True):
            assert (ours.dtype, ours.shape) == (np.float32, ids.shape)
            pair = ours[mask == 1], theirs[mask == 1]
            assert np.corrcoef(*pair)[0, 1] > SAME_MODEL, variant
            if variant == "fp32":
                np.testing.assert_allclose(*pair, rtol=0, atol=TOLERANCE)


def test_start_and_end_are_not_alike(answerer: Path) -> None:
    """Else the test above would pass with the two exchanged."""
    ids, mask = padded(answerer, PAIRS)
    output = of_pytorch(RobertaForQuestionAnswering, answerer, ids, mask)
    start, end = output.start_logits.numpy(), output.end_logits.numpy()
    assert np.corrcoef(start[mask == 1], end[mask == 1])[0, 1] < SAME_MODEL / 2


def test_classes_are_the_width_of_the_logits(
    mini_artifact: Artifact,
    classifier_artifact: Artifact,
    tagger_artifact: Artifact,
    answerer_artifact: Artifact,
    embedder_artifact: Artifact,
) -> None:
    artifacts = (
        *(mini_artifact, classifier_artifact, tagger_artifact),
        *(answerer_artifact, embedder_artifact),
    )
    found = [artifact.session("fp32", provider="cpu").classes for artifact in artifacts]
    vocabulary = len(AutoTokenizer.from_pretrained(mini_artifact.path))
    assert found == [vocabulary, 3, 5, None, None]


@pytest.mark.parametrize(
    "change", [list.reverse, list.pop], ids=["another order", "one output less"]
)
def test_outputs_that_are_not_those_of_the_manifest_are_refused(
    answerer_artifact: Artifact, tmp_path: Path, edit_json: Editor, change: Callable[[Any], Any]
) -> None:
    folder = Path(shutil.copytree(answerer_artifact.path, tmp_path / "artifact"))
    edit_json(folder, "manifest.json", lambda tree: change(tree["variants"]["fp32"]["outputs"]))
    with pytest.raises(ArtifactError, match=r"outputs are \[\('start_logits', 'float32', \('batch"):
        Artifact(folder).session("fp32", provider="cpu")


def read_chunks(path: Path) -> list[list[list[str]]]:
    """Read sentences of words, each with its part of speech and its tag."""
    blocks = path.read_text("utf-8").strip().split("\n\n")
    return [[line.split(" ") for line in block.splitlines()] for block in blocks]


@pytest.mark.reality
def test_trained_token_classifier_tags_words_as_pytorch(
    reality: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("reality") / "chunk"
    session = build(reality / "chunk", folder, variants=["fp32"]).session("fp32", threads=1)
    sentences = read_chunks(reality / "data" / "chunk-dev.txt")[:SENTENCES]
    tokenizer = AutoTokenizer.from_pretrained(reality / "chunk", add_prefix_space=True)
    model = RobertaForTokenClassification.from_pretrained(
        reality / "chunk", dtype=torch.float32
    ).eval()
    right = []
    for start in range(0, SENTENCES, 8):
        batch = sentences[start : start + 8]
        words = [[word for word, _, _ in sentence] for sentence in batch]
        encoded = tokenizer(words, is_split_into_words=True, padding=True, return_tensors="pt")
        with torch.inference_mode():
            expected = model(**encoded).logits.numpy()
        ids, mask = encoded["input_ids"].numpy(), encoded["attention_mask"].numpy()
        found = session.run(ids, mask)
        np.testing.assert_allclose(found[mask == 1], expected[mask == 1], rtol=0, atol=TOLERANCE)
        for row, sentence in enumerate(batch):
            of_words = encoded.word_ids(row)
            for index, (_, _, tag) in enumerate(sentence):
                best = int(found[row, of_words.index(index)].argmax())
                right.append(model.config.id2label[best] == tag)
    assert np.mean(right) > 0.96  # of all 936 sentences 97.2 %
