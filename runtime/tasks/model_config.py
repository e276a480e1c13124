"""What the runtime reads from `config.json` and `tokenizer_config.json`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distilroberta.runtime.errors import ArtifactError

_MAX_BYTES = 64 << 20
SHORTEST = 3  # <s>, one token, </s>


@dataclass(frozen=True)
class ModelConfig:
    """The fields of a RoBERTa `config.json` that inference needs."""

    pad_token_id: int
    max_position_embeddings: int
    vocab_size: int
    problem_type: str | None
    id2label: dict[int, str]

    @property
    def max_length(self) -> int:
        """The most tokens a text may have, `<s>` and `</s>` included.

        RoBERTa's positions begin at pad_token_id + 1, so 514 rows serve 512 tokens.
        """
        return self.max_position_embeddings - self.pad_token_id - 1

    @classmethod
    def read(cls, path: Path) -> ModelConfig:
        """Read `config.json`.

        Raises:
            ArtifactError: it can't be read, or a field is missing or of another type.
        """
        tree = read_json(path)
        try:
            labels = tree.get("id2label")
            if labels is None:  # transformers leaves out what is its default
                labels = {index: f"LABEL_{index}" for index in range(tree.get("num_labels", 2))}
            config = cls(
                pad_token_id=int(tree["pad_token_id"]),
                max_position_embeddings=int(tree["max_position_embeddings"]),
                vocab_size=int(tree["vocab_size"]),
                problem_type=tree.get("problem_type"),
                id2label={int(index): str(label) for index, label in labels.items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ArtifactError(f"{path} is not a RoBERTa config: {error!r}") from error
        if not 0 <= config.pad_token_id < config.vocab_size:
            raise ArtifactError(
                f"{path}: pad_token_id {config.pad_token_id} is no token of a vocabulary of "
                f"{config.vocab_size}"
            )
        if config.max_length < SHORTEST:
            raise ArtifactError(
                f"{path}: {config.max_position_embeddings} positions leave no room for a text"
            )
        return config


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file of the artifact.

    Raises:
        ArtifactError: it can't be read, or is no JSON object.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ArtifactError(f"{path} is larger than {_MAX_BYTES} bytes")
        tree = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ArtifactError(f"{path} can't be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{path} is not JSON: {error}") from error
    if not isinstance(tree, dict):
        raise ArtifactError(f"{path} is not a JSON object")
    return tree
