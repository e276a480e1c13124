"""The engines that are measured, as they run in their own process.

Each imports what it needs when it is made, so that its load time and memory are its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from distilroberta.bench import log_scores
from distilroberta.bench.workload import Workload


class Engine(Protocol):
    """What a worker process runs."""

    def call(self, workload: Workload) -> Callable[[], Any]:
        """Return what is timed; all that can be made ready before is ready."""

    def answer(self, workload: Workload) -> NDArray[np.float32]:
        """Return the logits of each text, or logits less a constant, float32 (rows, classes).

        For fill-mask these are the logits of the mask, and the vocabulary is the classes.
        """


class ArtifactSession:
    """Our served graph through `Artifact.session`: token ids to logits."""

    def __init__(self, artifact: str, variant: str, threads: int) -> None:
        """Load a variant of the artifact in a folder."""
        from distilroberta.runtime import Artifact

        self._session = Artifact(artifact).session(variant, provider="cpu", threads=threads)

    def call(self, workload: Workload) -> Callable[[], Any]:
        """Run the graph on ready arrays."""
        ids, mask = arrays(workload)
        return lambda: self._session.run(ids, mask)

    def answer(self, workload: Workload) -> NDArray[np.float32]:
        """Return what the graph gives: a row for each mask, or for each text."""
        return np.asarray(self.call(workload)())


class ArtifactPipeline:
    """Our `pipeline()`: one text to the five best words."""

    def __init__(self, artifact: str, variant: str, threads: int) -> None:
        """Load a variant of the artifact in a folder."""
        from distilroberta.runtime import pipeline

        self._fill = pipeline(
            "fill-mask", artifact, variant=variant, provider="cpu", threads=threads
        )

    def call(self, workload: Workload) -> Callable[[], Any]:
        """Fill the mask of the text."""
        (text,) = workload.texts
        return lambda: self._fill(text)

    def answer(self, workload: Workload) -> NDArray[np.float32]:
        """Score the whole vocabulary."""
        (text,) = workload.texts
        size = self._fill.config.vocab_size
        return _logits(self._fill(text, top_k=size), size)


class OnnxSession:
    """A standard graph in a bare onnxruntime session: token ids to logits.

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
        ids, mask = arrays(workload)
        feeds = {"input_ids": ids, "attention_mask": mask}
        return lambda: self._session.run(None, feeds)

    def answer(self, workload: Workload) -> NDArray[np.float32]:
        """Return the masks' rows of (batch, length, vocabulary), or all of (batch, labels)."""
        return read(self.call(workload)()[0], workload)


class OptimumPipeline:
    """An optimum export as its users run it: `ORTModelForMaskedLM` in a transformers pipeline.

    It takes one text.
    """

    def __init__(self, folder: str, file: str, threads: int) -> None:
        """Load a graph of an exported folder, and its tokenizer."""
        self._fill = optimum_pipeline("fill-mask", folder, file, threads)
        self._size = self._fill.model.config.vocab_size

    def call(self, workload: Workload) -> Callable[[], Any]:
        """Fill the mask of the text."""
        (text,) = workload.texts
        return lambda: self._fill(text)

    def answer(self, workload: Workload) -> NDArray[np.float32]:
        """Score the whole vocabulary."""
        (text,) = workload.texts
        return _logits(self._fill(text, top_k=self._size), self._size)


def optimum_pipeline(
    task: Literal["fill-mask", "text-classification"], folder: str, file: str, threads: int
) -> Any:
    """Load a graph of an optimum export and its tokenizer in a transformers pipeline, on a CPU."""
    import onnxruntime
    import torch
    from optimum import onnxruntime as models
    from transformers import AutoTokenizer, pipeline

    kinds = {
        "fill-mask": models.ORTModelForMaskedLM,
        "text-classification": models.ORTModelForSequenceClassification,
    }
    torch.set_num_threads(threads)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    model = kinds[task].from_pretrained(
        folder,
        file_name=file,
        provider="CPUExecutionProvider",
        session_options=options,
        local_files_only=True,
    )
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return pipeline(task, model=model, tokenizer=tokenizer, device="cpu")


def arrays(workload: Workload) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the token ids and the mask of real tokens, both int64 (batch, length)."""
    ids = np.array(workload.ids, dtype=np.int64)
    return ids, np.ones_like(ids)


def read(logits: NDArray[np.float32], workload: Workload) -> NDArray[np.float32]:
    """Return what is read of a standard graph's logits.

    Args:
        logits: (batch, length, vocabulary), of which the masks are read, or (batch, labels).
        workload: what they are the answer to.
    """
    whole = np.asarray(logits)
    return whole[np.arange(len(whole)), list(workload.masks)] if whole.ndim == 3 else whole


def _logits(candidates: list[dict[str, Any]], size: int) -> NDArray[np.float32]:
    scores = np.zeros((1, size))
    for candidate in candidates:
        scores[0, candidate["token"]] = candidate["score"]
    return log_scores.logits(scores)
