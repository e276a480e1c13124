"""Classifying many texts, by each library's own pipeline, as `worker` runs it.

A workload's texts are handed over as one list. Each imports what it needs when it is made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from distilroberta.bench.engines.sessions import optimum_pipeline
from distilroberta.bench.harness import log_scores
from distilroberta.bench.harness.workload import Workload

_TASK: Final = "text-classification"


class ArtifactTexts:
    """Our `pipeline()`."""

    def __init__(self, artifact: str, variant: str, threads: int, **defaults: Any) -> None:
        """Load a variant of the artifact in a folder. `defaults` are those of a call."""
        from distilroberta.runtime import pipeline

        self._classify = pipeline(
            _TASK, artifact, variant=variant, provider="cpu", threads=threads, **defaults
        )

    def call(self, workload: Workload) -> Callable[[], Any]:
        """Classify all texts."""
        texts = list(workload.texts)
        return lambda: self._classify(texts)

    def answer(self, workload: Workload) -> NDArray[np.float32]:
        """Score all labels, in the order of their names."""
        return scores(self._classify(list(workload.texts), top_k=None))


class TransformersTexts:
    """`transformers.pipeline` on PyTorch, in FP32."""

    def __init__(self, checkpoint: str, threads: int, batch_size: int) -> None:
        """Load the checkpoint in a folder."""
        import torch
        from transformers import pipeline

        torch.set_num_threads(threads)
        self._classify: Any = pipeline(_TASK, model=checkpoint, device="cpu", dtype="float32")
        self._options = _options(self._classify.model.config, batch_size)

    def call(self, workload: Workload) -> Callable[[], Any]:
        """Classify all texts, each cut to what the model takes."""
        texts = list(workload.texts)
        return lambda: self._classify(texts, **self._options)

    def answer(self, workload: Workload) -> NDArray[np.float32]:
        """Score all labels, in the order of their names."""
        return scores(self._classify(list(workload.texts), top_k=None, **self._options))


class OptimumTexts(TransformersTexts):
    """An optimum export as its users run it, in `transformers.pipeline` on onnxruntime."""

    def __init__(self, folder: str, file: str, threads: int, batch_size: int) -> None:
        """Load a graph of an exported folder, and its tokenizer."""
        self._classify = optimum_pipeline(_TASK, folder, file, threads)
        self._options = _options(self._classify.model.config, batch_size)


def _options(config: Any, batch_size: int) -> dict[str, Any]:
    # Positions are counted from the one after padding's on, see `RobertaEmbeddings`.
    longest = config.max_position_embeddings - config.pad_token_id - 1
    return {"batch_size": batch_size, "truncation": True, "max_length": longest}


def scores(answers: list[list[dict[str, Any]]]) -> NDArray[np.float32]:
    """Return logits less a constant, float32 (texts, labels), the labels in their names' order.

    Args:
        answers: for each text all labels with their scores, in any order.
    """
    rows = [
        [one["score"] for one in sorted(answer, key=lambda one: str(one["label"]))]
        for answer in answers
    ]
    return log_scores.logits(rows)
