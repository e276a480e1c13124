"""The engines that are measured, as they run in their own process.

Each imports what it needs when it is made, so that its load time and memory are its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from distilroberta.bench.workload import Workload

# A score of 0 stands for a probability too small for FP32; its logit is some number below this.
_SMALLEST_SCORE = 1e-38


class Engine(Protocol):
    """What a worker process runs."""

    def call(self, workload: Workload) -> Callable[[], Any]:
        """Return what is timed; all that can be made ready before is ready."""

    def answer(self, workload: Workload) -> NDArray[np.float32]:
        """Return the logits of the mask, or logits less a constant, float32 (vocabulary,)."""


class ArtifactSession:
    """Our served graph through `Artifact.session`: token ids to logits."""

    def __init__(self, artifact: str, variant: str, threads: int) -> None:
        """Load a variant of the artifact in a folder."""
        from distilroberta.runtime import Artifact

        self._session = Artifact(artifact).session(variant, provider="cpu", threads=threads)

    def call(self, workload: Workload) -> Callable[[], Any]:
        """Run the graph on ready arrays."""
        ids, mask = _arrays(workload)
        return lambda: self._session.run(ids, mask)

    def answer(self, workload: Workload) -> NDArray[np.float32]:
        """Return the one row of (masks, vocabulary)."""
        return np.asarray(self.call(workload)()[0])


class ArtifactPipeline:
    """Our `pipeline()`: text to the five best words."""

    def __init__(self, artifact: str, variant: str, threads: int) -> None:
        """Load a variant of the artifact in a folder."""
        from distilroberta.runtime import pipeline

        self._fill = pipeline(
            "fill-mask", artifact, variant=variant, provider="cpu", threads=threads
        )

    def call(self, workload: Workload) -> Callable[[], Any]:
        """Fill the mask of the text."""
        return lambda: self._fill(workload.text)

    def answer(self, workload: Workload) -> NDArray[np.float32]:
        """Score the whole vocabulary."""
        size = self._fill.config.vocab_size
        return _logits(self._fill(workload.text, top_k=size), size)


class OnnxSession:
    """A standard fill-mask graph in a bare onnxruntime session: token ids to logits.

    Nothing of optimum or transformers is loaded, which flatters their files: nobody runs them so
    who uses these libraries.
    """

    def __init__(self, graph: str, threads: int) -> None:
        """Load an ONNX file."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            graph, options, providers=["CPUExecutionProvider"]
        )

    def call(self, workload: Workload) -> Callable[[], Any]:
        """Run the graph on ready arrays."""
        ids, mask = _arrays(workload)
        feeds = {"input_ids": ids, "attention_mask": mask}
        return lambda: self._session.run(None, feeds)

    def answer(self, workload: Workload) -> NDArray[np.float32]:
        """Return the mask's row of (batch, length, vocabulary)."""
        return np.asarray(self.call(workload)()[0][0, workload.mask])


class OptimumPipeline:
    """An optimum export as its users run it: `ORTModelForMaskedLM` in a transformers pipeline."""

    def __init__(self, folder: str, file: str, threads: int) -> None:
        """Load a graph of an exported folder, and its tokenizer."""
        import onnxruntime
        import torch
        from optimum.onnxruntime import ORTModelForMaskedLM
        from transformers import AutoTokenizer, pipeline

        torch.set_num_threads(threads)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        model = ORTModelForMaskedLM.from_pretrained(
            folder,
            file_name=file,
            provider="CPUExecutionProvider",
            session_options=options,
            local_files_only=True,
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self._size = model.config.vocab_size
        self._fill = pipeline("fill-mask", model=model, tokenizer=tokenizer, device="cpu")

    def call(self, workload: Workload) -> Callable[[], Any]:
        """Fill the mask of the text."""
        return lambda: self._fill(workload.text)

    def answer(self, workload: Workload) -> NDArray[np.float32]:
        """Score the whole vocabulary."""
        return _logits(self._fill(workload.text, top_k=self._size), self._size)


def _arrays(workload: Workload) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    ids = np.array([workload.ids], dtype=np.int64)  # (1, length)
    return ids, np.ones_like(ids)


def _logits(candidates: list[dict[str, Any]], size: int) -> NDArray[np.float32]:
    scores = np.zeros(size)
    for candidate in candidates:
        scores[candidate["token"]] = candidate["score"]
    return np.log(np.maximum(scores, _SMALLEST_SCORE)).astype(np.float32)
