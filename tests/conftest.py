"""Checkpoints and artifacts that the tests share. None of them needs a network."""

from __future__ import annotations

import os

# Before anything imports onnxruntime, see `runtime/execution/ort.py`.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoTokenizer,
    RobertaConfig,
    RobertaForMaskedLM,
    RobertaForQuestionAnswering,
    RobertaForSequenceClassification,
    RobertaForTokenClassification,
    RobertaModel,
)

from distilroberta.export import build
from distilroberta.runtime import Artifact

# Threads that wait for each other on a busy machine make tiny models a hundred times slower.
torch.set_num_threads(1)

PROJECT = Path(__file__).parents[1]
MINI = PROJECT / "examples" / "mini"
REALITY = Path(os.environ.get("DISTILROBERTA_REALITY", PROJECT.parent / "shared" / "reality"))

# Makes a checkpoint folder of a given shape with random weights.
CheckpointMaker = Callable[..., Path]


@pytest.fixture(scope="session")
def mini() -> Path:
    """The bundled trained fill-mask checkpoint."""
    return MINI


@pytest.fixture(scope="session")
def reality() -> Path:
    """The folder of real checkpoints and texts, beside the clone or where the variable says."""
    if not (REALITY / "mlm" / "config.json").is_file():
        pytest.skip(f"no real checkpoints at {REALITY} (set DISTILROBERTA_REALITY)")
    return REALITY


@pytest.fixture(scope="session")
def make_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> CheckpointMaker:
    """Make seeded random checkpoints with the mini tokenizer: `make_checkpoint(task, **config)`.

    Weights are drawn wider than RoBERTa's initial 0.02, so that answers differ from text to text.
    """

    def make(task: str = "fill-mask", *, seed: int = 0, **config: Any) -> Path:
        folder = tmp_path_factory.mktemp("checkpoint")
        tokenizer = AutoTokenizer.from_pretrained(MINI)
        shape: dict[str, Any] = {
            "vocab_size": len(tokenizer),
            "hidden_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 128,
            "max_position_embeddings": 66,
            "type_vocab_size": 1,
            "initializer_range": 0.2,
        }
        torch.manual_seed(seed)
        kinds = {
            "fill-mask": RobertaForMaskedLM,
            "text-classification": RobertaForSequenceClassification,
            "token-classification": RobertaForTokenClassification,
            "question-answering": RobertaForQuestionAnswering,
            "feature-extraction": RobertaModel,
        }
        model = kinds[task](RobertaConfig(**{**shape, **config}))
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):  # zero at first, and then nothing shows that they are used
                torch.nn.init.normal_(parameter, std=0.2)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    return make


@pytest.fixture(scope="session")
def classifier(make_checkpoint: CheckpointMaker) -> Path:
    """A text classification checkpoint with three labels."""
    labels = {0: "bad", 1: "so-so", 2: "good"}
    return make_checkpoint(
        "text-classification",
        id2label=labels,
        label2id={name: index for index, name in labels.items()},
    )


@pytest.fixture(scope="session")
def tagger(make_checkpoint: CheckpointMaker) -> Path:
    """A token classification checkpoint with five labels. Read only."""
    return make_checkpoint("token-classification", num_labels=5)


@pytest.fixture(scope="session")
def answerer(make_checkpoint: CheckpointMaker) -> Path:
    """A question answering checkpoint. Read only."""
    return make_checkpoint("question-answering")


@pytest.fixture(scope="session")
def embedder(make_checkpoint: CheckpointMaker) -> Path:
    """A checkpoint without a head. Read only."""
    return make_checkpoint("feature-extraction")


@pytest.fixture(scope="session")
def mini_artifact(mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The bundled checkpoint, built in all variants. Read only: copy it to change it."""
    return build(mini, tmp_path_factory.mktemp("artifacts") / "mini")


@pytest.fixture(scope="session")
def classifier_artifact(classifier: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The classifier, built in all variants. Read only: copy it to change it."""
    return build(classifier, tmp_path_factory.mktemp("artifacts") / "classifier")


@pytest.fixture(scope="session")
def tagger_artifact(tagger: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The token classifier, built in all variants. Read only: copy it to change it."""
    return build(tagger, tmp_path_factory.mktemp("artifacts") / "tagger")


@pytest.fixture(scope="session")
def answerer_artifact(answerer: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The question answerer, built in all variants. Read only: copy it to change it."""
    return build(answerer, tmp_path_factory.mktemp("artifacts") / "answerer")


@pytest.fixture(scope="session")
def embedder_artifact(embedder: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The checkpoint without a head, built in all variants. Read only: copy it to change it."""
    return build(embedder, tmp_path_factory.mktemp("artifacts") / "embedder")


@pytest.fixture(scope="session")
def trained_embedder_artifact(reality: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The trained fill-mask checkpoint, built without its head in FP32 and INT8. Read only."""
    folder = tmp_path_factory.mktemp("artifacts") / "trained-embedder"
    return build(reality / "mlm", folder, task="feature-extraction", variants=["fp32", "int8"])


@pytest.fixture
def broken_artifact(mini_artifact: Artifact, tmp_path: Path) -> Path:
    """A copy of the mini artifact that a test may damage."""
    return Path(shutil.copytree(mini_artifact.path, tmp_path / "artifact"))
