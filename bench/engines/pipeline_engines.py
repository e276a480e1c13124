"""Whole pipelines of transformers as engines: texts to answers, for fill-mask and classification.

A workload's texts go in as one list, in one batch; a single text goes in as itself. Nothing is
padded or cut, since the texts of a workload have the same number of tokens. Each engine imports
what it needs when it is made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distilroberta.bench.engines import pipeline_inputs
from distilroberta.bench.engines.sessions import optimum_pipeline
from distilroberta.bench.engines.text_engines import scores
from distilroberta.bench.harness import log_scores
from distilroberta.bench.harness.workload import Workload

_FILL_MASK = "fill-mask"


class TransformersPipeline:
    """`transformers.pipeline` on PyTorch, in FP32, which runs in `torch.no_grad`."""

    def __init__(self, checkpoint: str, task: str, threads: int) -> None:
        """Load the checkpoint in a folder.

        Args:
            checkpoint: the folder.
            task: `fill-mask` or `text-classification`.
            threads: how many PyTorch may use.
        """
        import torch
        from transformers import pipeline

        torch.set_num_threads(threads)
        # transformers declares one overload for each task's literal name.
        loaded: Any = pipeline(task, model=checkpoint, device="cpu", dtype="float32")  # type: ignore[call-overload]
        self._take(loaded, task)

    def _take(self, pipe: Any, task: str) -> None:
        self._pipe, self._task = pipe, task

    def call(self, workload: Workload) -> Callable[[], Any]:
        """Answer all texts in one call."""
        given = pipeline_inputs.inputs(self._task, workload.texts)
        size = len(workload.texts)
        return lambda: self._pipe(given, batch_size=size)

    def answer(self, workload: Workload) -> NDArray[np.float32]:
        """Score the whole vocabulary, or all labels in the order of their names.

        Returns:
            Logits less a constant, float32 (texts, vocabulary) or (texts, labels).
        """
        texts, size = list(workload.texts), len(workload.texts)
        if self._task != _FILL_MASK:
            return scores(self._pipe(texts, top_k=None, batch_size=size))
        vocabulary = self._pipe.model.config.vocab_size
        found = self._pipe(texts, top_k=vocabulary, batch_size=size)
        # Of one text it gives the candidates, not a list of one.
        return log_scores.of_candidates([found] if size == 1 else found, vocabulary)


class OptimumPipeline(TransformersPipeline):
    """An optimum export as its users run it, in `transformers.pipeline` on onnxruntime."""

    def __init__(self, folder: str, file: str, task: str, threads: int) -> None:
        """Load a graph of an exported folder, and its tokenizer."""
        self._take(optimum_pipeline(task, folder, file, threads), task)  # type: ignore[arg-type]
