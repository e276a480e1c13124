from __future__ import annotations

from pathlib import Path

import pytest

from distilroberta.bench.models import subject
from distilroberta.runtime import Artifact, InputError

FILL_MASK = "fill-mask"
CLASSIFICATION = "text-classification"


def test_what_is_given_is_taken(mini: Path, mini_artifact: Artifact, tmp_path: Path) -> None:
    taken = subject.with_checkpoint(FILL_MASK, mini, mini_artifact.path, ["int8"], tmp_path)
    assert taken.checkpoint == mini
    assert taken.artifact.path == mini_artifact.path
    assert subject.alone(FILL_MASK, mini_artifact.path, ["int8"], tmp_path).path == (
        mini_artifact.path
    )
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_given_is_built(
    classifier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def random_checkpoint(folder: Path, *, task: str) -> Path:
        asked.append((folder, task))
        return classifier

    monkeypatch.setattr(subject, "random_checkpoint", random_checkpoint)
    made = subject.alone(CLASSIFICATION, None, ["fp32"], tmp_path / "random")
    assert asked == [(tmp_path / "random" / "checkpoint", CLASSIFICATION)]
    assert made.path.parent == tmp_path / "random"
    assert made.variants == ("fp32",)
    built = subject.with_checkpoint(CLASSIFICATION, classifier, None, ["fp32"], tmp_path / "given")
    assert len(asked) == 1  # not again
    assert built.checkpoint == classifier
    assert built.artifact.task == CLASSIFICATION


def test_an_artifact_alone_has_nothing_to_be_measured_beside(
    mini_artifact: Artifact, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="give both"):
        subject.with_checkpoint(FILL_MASK, None, mini_artifact.path, ["int8"], tmp_path)


def test_an_artifact_for_something_else(classifier_artifact: Artifact) -> None:
    path = classifier_artifact.path
    with pytest.raises(InputError, match="was built for text-classification; fill-mask is meas"):
        subject.opened(path, [FILL_MASK], ["int8"])
    with pytest.raises(InputError, match="variant 'int9' is not in"):
        subject.opened(path, [FILL_MASK, CLASSIFICATION], ["int9"])


def test_reports_name_the_weights(mini: Path) -> None:
    assert subject.weights(mini) == mini.name
    assert subject.weights(None) == "random weights of DistilRoBERTa's shape"
