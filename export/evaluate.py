"""`evaluate`: an artifact's variants on labelled data, against the checkpoint in PyTorch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from distilroberta.quantize.quality import BATCH_SIZE
from distilroberta.quantize.quality.evaluation import (
    Candidate,
    Model,
    Progress,
    measure,
    prepare,
)
from distilroberta.quantize.quality.result import Result
from distilroberta.runtime import layout
from distilroberta.runtime.artifact import Artifact
from distilroberta.runtime.errors import CheckpointError, InputError
from distilroberta.runtime.manifest import PYTORCH, Source
from distilroberta.runtime.tasks.pipeline import check_batch_size

_WITHOUT = "fp32"


def _silent(*_: object) -> None:
    """Report progress to nobody."""


def evaluate(
    artifact: Artifact,
    data: str | os.PathLike[str],
    *,
    task: str | None = None,
    data_format: str | None = None,
    columns: Mapping[str, str] | None = None,
    variants: Sequence[str] | None = None,
    limit: int | None = None,
    batch_size: int = BATCH_SIZE,
    provider: str = "cpu",
    threads: int | None = None,
    checkpoint: str | None = None,
    with_pytorch: bool = True,
    starting: Callable[[str], None] = _silent,
    progress: Progress = _silent,
) -> Result:
    """Score an artifact's variants on labelled data.

    Args:
        artifact: the artifact.
        data: labelled data; `quantize.quality.readers.read` says what it may be.
        task: the artifact's task; another one is refused.
        data_format: the data's format, by default what its name and content say.
        columns: the data's columns, by default those of known names.
        variants: the variants to score, by default all.
        limit: take no more than the first so many examples.
        batch_size: how many rows go through a model at once.
        provider: the execution provider that runs the variants.
        threads: how many threads compute a batch, in onnxruntime and in PyTorch; by default what
            each takes by itself. Where other work keeps the CPUs busy, 1 is many times as fast:
            the threads of one model wait for each other, and those of the others spin.
        checkpoint: what the artifact was built from, a folder or a hub id; by default looked for
            under the name in the manifest.
        with_pytorch: compare the variants with the checkpoint in PyTorch. Otherwise they are
            compared with the variant fp32, where it is among them.
        starting: called with a line on what is done next.
        progress: called after each batch with the rows that are done, and all.

    Returns:
        The scores: PyTorch's first, then those of the variants as the manifest lists them.

    Raises:
        InputError: an argument can't be used, or the data can't; then it is a `DataError`.
        CheckpointError: the checkpoint is not there, or is not what the artifact was built from.
        ArtifactError: a variant can't be loaded.
        ProviderError: the provider is unknown or can't start.
        QualityError: the logits of a variant are not finite, or its answers have no score.
    """
    if task is not None and layout.TASK_ALIASES.get(task, task) != artifact.task:
        raise InputError(f"{artifact.path} was built for {artifact.task}, not for {task}")
    chosen = artifact.variants if variants is None else tuple(dict.fromkeys(variants))
    for name in chosen:
        artifact.variant(name)
    check_batch_size(batch_size)  # `measure` does too, but after the models are loaded
    if not chosen:
        raise InputError(f"no variant: choose from {', '.join(artifact.variants)}")
    path = Path(data)
    starting(f"reading {path.name}")
    prepared = prepare(
        artifact.path, artifact.task, path, data_format=data_format, columns=columns, limit=limit
    )
    candidates = []
    if with_pytorch:
        starting("loading the checkpoint in PyTorch")
        candidates.append(Candidate(PYTORCH, _pytorch(artifact, checkpoint)))
    for name in (name for name in artifact.variants if name in chosen):
        starting(f"loading {name}")
        session = artifact.session(name, provider=provider, threads=threads)
        candidates.append(Candidate(name, session.run, artifact.bytes_of(name)))
    reference = PYTORCH if with_pytorch else _WITHOUT if _WITHOUT in chosen else None
    starting("scoring")
    with _torch_threads(threads if with_pytorch else None):
        return measure(
            prepared, candidates, reference=reference, batch_size=batch_size, progress=progress
        )


def _pytorch(artifact: Artifact, asked: str | None) -> Model:
    # torch takes seconds to import, and is not needed without a reference.
    from distilroberta.export.checkpoint import load
    from distilroberta.export.reference import Reference
    from distilroberta.export.source import resolve

    source = artifact.manifest.source
    checkpoint = resolve(_named(source) if asked is None else asked)
    if checkpoint.sha256 != source.sha256:
        raise CheckpointError(
            f"{asked or source.name} is not what {artifact.path} was built from: its files have "
            f"the digest {checkpoint.sha256}, the manifest says {source.sha256}; name the right "
            "one with --checkpoint, build the artifact again, or leave PyTorch out with "
            "--no-reference"
        )
    return Reference(load(checkpoint, artifact.task)).served


@contextmanager
def _torch_threads(threads: int | None) -> Iterator[None]:
    if threads is None:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _named(source: Source) -> str:
    # The manifest keeps a folder's own name, not where it stood; only a hub id has a revision.
    if source.revision is not None:
        return f"{source.name}@{source.revision}"
    if not os.path.isdir(source.name):
        raise CheckpointError(
            f"the checkpoint the artifact was built from, {source.name}, is not here: say where "
            "it is with --checkpoint, or leave PyTorch out with --no-reference"
        )
    return source.name
