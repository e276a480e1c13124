"""What a measurement of the runtime runs: an artifact, alone or with its checkpoint.

What is not given is made, from random weights of DistilRoBERTa's shape: see `checkpoints`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from distilroberta.bench.models.checkpoints import random_checkpoint
from distilroberta.runtime import Artifact
from distilroberta.runtime.command_line import messages
from distilroberta.runtime.errors import InputError


@dataclass(frozen=True)
class Subject:
    """A checkpoint's folder and its artifact."""

    checkpoint: Path
    artifact: Artifact


def with_checkpoint(
    task: str,
    checkpoint: Path | None,
    artifact: Path | None,
    variants: Sequence[str],
    folder: Path,
) -> Subject:
    """Take a checkpoint with its artifact; make what was not given.

    Args:
        task: the task both are for.
        checkpoint: the checkpoint's folder; random weights without.
        artifact: the folder of its artifact; built without.
        variants: the variants that are measured.
        folder: an empty one, for what is made.

    Raises:
        InputError: an artifact was given alone, is for another task, or lacks a variant.
        DistilRobertaError: as `build` and `Artifact`.
    """
    if checkpoint is None and artifact is not None:
        raise InputError("an artifact is measured beside its checkpoint: give both")
    if checkpoint is not None and artifact is not None:
        return Subject(checkpoint, opened(artifact, [task], variants))
    from distilroberta.export import build  # takes PyTorch, which what is given does not

    with messages.status("writing random weights") as status:
        source = checkpoint or random_checkpoint(folder / "checkpoint", task=task)
        made = build(
            source,
            folder / "artifact",
            task=task,
            variants=list(variants),
            progress=lambda step: status.update(f"our artifact: {step}"),
        )
    return Subject(source, made)


def alone(task: str, artifact: Path | None, variants: Sequence[str], folder: Path) -> Artifact:
    """Take an artifact, or make one in an empty folder.

    Raises:
        InputError: the artifact is for another task, or lacks a variant.
        DistilRobertaError: as `build` and `Artifact`.
    """
    if artifact is not None:
        return opened(artifact, [task], variants)
    return with_checkpoint(task, None, None, variants, folder).artifact


def weights(given: Path | None) -> str:
    """Return what a report calls the weights of a folder that was given, or was not."""
    return "random weights of DistilRoBERTa's shape" if given is None else given.name


def opened(path: Path, tasks: Sequence[str], variants: Sequence[str]) -> Artifact:
    """Open an artifact that has what is measured.

    Raises:
        ArtifactError: it can't be opened.
        InputError: it is for a task that is none of these, or lacks one of the variants.
    """
    artifact = Artifact(path)
    if artifact.task not in tasks:
        raise InputError(
            f"{path} was built for {artifact.task}; {' or '.join(tasks)} is measured here"
        )
    for variant in variants:
        artifact.variant(variant)
    return artifact
