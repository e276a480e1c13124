"""`pipeline`: a task's name and an artifact's folder to something that answers."""

from __future__ import annotations

import os
from typing import Any

from distilroberta.runtime import layout
from distilroberta.runtime.artifact import Artifact
from distilroberta.runtime.errors import InputError
from distilroberta.runtime.fill_mask import FillMaskPipeline
from distilroberta.runtime.pipeline import Pipeline
from distilroberta.runtime.text_classification import TextClassificationPipeline

PIPELINES: dict[str, type[Pipeline]] = {
    pipeline.task: pipeline for pipeline in (FillMaskPipeline, TextClassificationPipeline)
}


def pipeline(
    task: str | None = None,
    model: str | os.PathLike[str] | Artifact | None = None,
    *,
    variant: str = "auto",
    provider: str = "auto",
    threads: int | None = None,
    **defaults: Any,
) -> Any:
    """Load an artifact for its task.

    Args:
        task: `fill-mask`, `text-classification` or its alias `sentiment-analysis`; None takes the
            artifact's own.
        model: the artifact's folder, or an opened `Artifact`.
        variant: `fp32`, `fp16`, `int8-static`, `int8`, `int4`; `auto` is INT8 on a CPU and FP16 on
            a GPU, or what the artifact holds in their place.
        provider: `cpu`, `cuda`, `tensorrt`; `auto` takes CUDA where it starts, otherwise the CPU.
            What was chosen is in the pipeline's `variant` and `provider`.
        threads: how many threads compute one call, as many as this process has CPUs by default.
        defaults: the task's own parameters, as defaults of every call (`top_k=1`, ...).

    Returns:
        A `FillMaskPipeline` or a `TextClassificationPipeline`.

    Raises:
        InputError: the task is unknown, not the artifact's, or has no pipeline yet, or an
            argument can't be used.
        ArtifactError: the artifact is missing, incomplete, changed or not understood.
        ProviderError: the provider is unknown or can't start.
    """
    if model is None:
        raise InputError('give the artifact: pipeline("fill-mask", "folder")')
    if task is not None and not isinstance(task, str):
        raise InputError(f"the task must be a string, found {type(task).__name__}")
    if task is not None and layout.TASK_ALIASES.get(task, task) not in layout.TASKS:
        aliases = (alias for alias, name in layout.TASK_ALIASES.items() if name in PIPELINES)
        known = ", ".join((*PIPELINES, *aliases))
        raise InputError(f"unknown task {task!r}: choose one of {known}")
    artifact = model if isinstance(model, Artifact) else Artifact(model)
    wanted = artifact.task if task is None else layout.TASK_ALIASES.get(task, task)
    if wanted != artifact.task:
        raise InputError(
            f"{artifact.path} was built for {artifact.task}, not for {task}: leave the task out, "
            "or build a checkpoint that was fine-tuned for it"
        )
    if wanted not in PIPELINES:
        raise InputError(
            f"pipelines for {wanted} are not there yet; Artifact.session runs the graph of "
            f"{artifact.path}"
        )
    try:
        return PIPELINES[wanted](
            artifact, variant=variant, provider=provider, threads=threads, **defaults
        )
    except TypeError as error:
        unknown = set(defaults) - set(_parameters(PIPELINES[wanted]))
        if not unknown:
            raise
        raise InputError(
            f"{wanted} has no parameter {', '.join(sorted(unknown))}; it has "
            f"{', '.join(_parameters(PIPELINES[wanted]))}"
        ) from error


def _parameters(kind: type[Pipeline]) -> list[str]:
    import inspect

    shared = {"self", "artifact", "variant", "provider", "threads"}
    return [name for name in inspect.signature(kind.__init__).parameters if name not in shared]
