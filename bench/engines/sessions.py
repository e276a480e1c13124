"""The engines that are measured, as they run in their own process.

Each imports what it needs when it is made, so that its load time and memory are its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from distilroberta.bench.engines import pipeline_inputs
from distilroberta.bench.harness import log_scores
from distilroberta.bench.harness.workload import Workload


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

    def __init__(self, artifact: str, variant: str, threads: int, provider: str = "cpu") -> None:
        """Load a variant of the artifact in a folder."""
        from distilroberta.runtime import Artifact

        opened = Artifact(artifact)
        self._task = opened.task
        self._session = opened.session(variant, provider=provider, threads=threads)

    def call(self, workload: Workload) -> Callable[[], Any]:
        """Run the graph on ready arrays."""
        ids, mask = arrays(workload)
        return lambda: self._session.run(ids, mask)

    def answer(self, workload: Workload) -> NDArray[np.float32]:
        """Return what the graph gives: a row for each mask, text, token, or kind of place."""
        return _of_task(self._task, self.call(workload)(), workload)


class ArtifactPipeline:
    """Our `pipeline()` for the artifact's task: texts to answers."""

    def __init__(self, artifact: str, variant: str, threads: int, provider: str = "cpu") -> None:
        """Load a variant of the artifact in a folder."""
        from distilroberta.runtime import Artifact, pipeline

        opened = Artifact(artifact)
        self._task = opened.task
        options = pipeline_inputs.OPTIONS.get(self._task, {})
        self._pipe = pipeline(
            self._task, opened, variant=variant, provider=provider, threads=threads, **options
        )

    def call(self, workload: Workload) -> Callable[[], Any]:
        """Answer all texts in one call; a single one goes in as itself."""
        given = pipeline_inputs.inputs(self._task, workload.texts)
        return lambda: self._pipe(given)

    def answer(self, workload: Workload) -> NDArray[np.float32]:
        """Score all labels in the order of their names, or give vectors, as the pipeline does.

        Where a pipeline tells only what is best (tokens, spans), what its graph gives for the
        tokens that its tokenizer makes of a masked text, or for the workload's. Asked for the
        scores of a whole vocabulary it would say each as a dictionary: hundreds of MB, which would
        be taken for the memory that answering needs. For the same reason the texts go through the
        graph one by one: the pipeline may cut a batch in smaller ones.
        """
        texts = list(workload.texts)
        if self._task == "text-classification":
            ranked = self._pipe(texts, top_k=None)
            named = [sorted(labels, key=lambda one: str(one["label"])) for labels in ranked]
            scores = log_scores.logits([[one["score"] for one in labels] for labels in named])
            return read(scores, workload)
        if self._task == "feature-extraction":
            return np.asarray(self._pipe(texts))
        ids, mask = arrays(workload)
        if self._task == "fill-mask":
            ids = np.array([one.ids for one in self._pipe.tokenizer.encode(texts)], dtype=np.int64)
        rows = range(len(ids))
        found = [self._pipe.session.run(ids[row:][:1], mask[row:][:1]) for row in rows]
        if self._task == "question-answering":  # where an answer starts, and where it ends
            return np.concatenate([np.concatenate(ends) for ends in zip(*found, strict=True)])
        return _of_task(self._task, np.concatenate(found), workload)


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
    """Return what is read of a graph's answer, a row for what is compared with its like.

    Args:
        logits: (batch, length, vocabulary), or hidden states, of which the masks are read, or
            (batch, labels) or (masks, vocabulary), of which all is. With one label the texts are
            compared with each other: (1, batch).
        workload: what they are the answer to.
    """
    whole = np.asarray(logits)
    if whole.ndim == 3:
        return whole[np.arange(len(whole)), list(workload.masks)]
    return whole.T if whole.shape[1] == 1 else whole


def _of_task(task: str, outputs: Any, workload: Workload) -> NDArray[np.float32]:
    # Of these all tokens are read: their labels, or whether an answer starts or ends there.
    if task in ("token-classification", "question-answering"):
        return np.concatenate(outputs)
    return read(outputs, workload)
