"""`pipeline`: a task's name and an artifact's folder to something that answers."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from distilroberta.runtime import layout
from distilroberta.runtime.artifact import Artifact
from distilroberta.runtime.errors import InputError

if TYPE_CHECKING:
    from distilroberta.runtime.execution.provider_options import ProviderOptions
    from distilroberta.runtime.tasks.pipeline import Pipeline

# The class of each task. Its module is imported when it is needed: of six tasks an application has
# one or two, and is to start fast.
CLASSES = {
    "fill-mask": "FillMaskPipeline",
    "text-classification": "TextClassificationPipeline",
    "token-classification": "TokenClassificationPipeline",
    "question-answering": "QuestionAnsweringPipeline",
    "feature-extraction": "FeatureExtractionPipeline",
    "zero-shot-classification": "ZeroShotClassificationPipeline",
}


def class_of(task: str) -> type[Pipeline]:
    """Return the pipeline of a task, one of `CLASSES`."""
    module = importlib.import_module(f"distilroberta.runtime.tasks.{task.replace('-', '_')}")
    found: type[Pipeline] = getattr(module, CLASSES[task])
    return found


def pipeline(
    task: str | None = None,
    model: str | os.PathLike[str] | Artifact | None = None,
    *,
    variant: str = "auto",
    provider: str | ProviderOptions = "auto",
    threads: int | None = None,
    **defaults: Any,
) -> Any:
    """Load an artifact for its task.

    Args:
        task: `fill-mask`, `text-classification` or its alias `sentiment-analysis`,
            `token-classification` or its alias `ner`, `question-answering`, `feature-extraction`;
            `zero-shot-classification` on an artifact for text classification whose labels tell of
            entailment. None takes the artifact's own.
        model: the artifact's folder, or an opened `Artifact`.
        variant: `fp32`, `fp16`, `int8-static`, `int8`, `int4`; `auto` is INT8 on a CPU and FP16 on
            a GPU, or what the artifact holds in their place.
        provider: `cpu`, `cuda`, `tensorrt`, or the options of one: `CpuOptions`, `CudaOptions`,
            `TensorRTOptions`; `auto` takes CUDA where it starts, otherwise the CPU. What was chosen
            is in the pipeline's `variant` and `provider`.
        threads: how many threads compute one call, as many as this process has CPUs by default.
        defaults: the task's own parameters, as defaults of every call (`top_k=1`, ...).

    Returns:
        The task's pipeline, such as a `FillMaskPipeline`.

    Raises:
        InputError: the task is unknown, not the artifact's, or an argument can't be used.
        ArtifactError: the artifact is missing, incomplete, changed or not understood.
        ProviderError: the provider is unknown or can't start.
    """
    if model is None:
        raise InputError('give the artifact: pipeline("fill-mask", "folder")')
    if task is not None and not isinstance(task, str):
        raise InputError(f"the task must be a string, found {type(task).__name__}")
    if task is not None and layout.TASK_ALIASES.get(task, task) not in CLASSES:
        known = ", ".join((*CLASSES, *layout.TASK_ALIASES))
        raise InputError(f"unknown task {task!r}: choose one of {known}")
    artifact = model if isinstance(model, Artifact) else Artifact(model)
    wanted = artifact.task if task is None else layout.TASK_ALIASES.get(task, task)
    if layout.BUILT_FOR.get(wanted, wanted) != artifact.task:
        raise InputError(
            f"{artifact.path} was built for {artifact.task}, not for {task}: leave the task out, "
            "or build a checkpoint that was fine-tuned for it"
        )
    kind = class_of(wanted)
    try:
        return kind(artifact, variant=variant, provider=provider, threads=threads, **defaults)
    except TypeError as error:
        unknown = set(defaults) - set(_parameters(kind))
        if not unknown:
            raise
        raise InputError(
            f"{wanted} has no parameter {', '.join(sorted(unknown))}; it has "
            f"{', '.join(_parameters(kind))}"
        ) from error


def _parameters(kind: type[Pipeline]) -> list[str]:
    import inspect

    shared = {"self", "artifact", "variant", "provider", "threads"}
    return [name for name in inspect.signature(kind.__init__).parameters if name not in shared]
