"""`build`: a checkpoint to an artifact, in one step that succeeds or leaves nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from distilroberta.export import model_card, onnx_export, staging
from distilroberta.export.checkpoint import Loaded, load, task_of
from distilroberta.export.probes import Probes
from distilroberta.export.source import Checkpoint, resolve
from distilroberta.export.variants import Fp32Graphs, make
from distilroberta.runtime import layout
from distilroberta.runtime.artifact import Artifact
from distilroberta.runtime.digest import sha256_of
from distilroberta.runtime.errors import InputError
from distilroberta.runtime.manifest import FileEntry, Manifest, Source

_TOOLS = ("distilroberta-onnx", "onnx", "onnxruntime", "tokenizers", "torch", "transformers")

_CONFIG_KEYS = ("max_position_embeddings", "pad_token_id", "vocab_size")


def _silent(_: str) -> None:
    """Report progress to nobody."""


def build(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    task: str | None = None,
    variants: Sequence[str] = layout.VARIANTS,
    force: bool = False,
    progress: Callable[[str], None] = _silent,
) -> Artifact:
    """Build an artifact from a PyTorch checkpoint.

    Args:
        source: a checkpoint folder, or a hub id with an optional `@revision`.
        output: the artifact's folder. It appears when all is done, and not at all on an error.
        task: `fill-mask` or `text-classification`; by default what the checkpoint's config says.
        variants: any of `fp32`, `fp16`, `int8`.
        force: replace the artifact that stands in `output`; a folder of anything else stays.
        progress: called with a line on what is done next.

    Returns:
        The artifact, opened.

    Raises:
        InputError: a variant or the task is unknown, or `output` exists or can't be made.
        ExportError: the disk is full, or fails in another way.
        CheckpointError: the checkpoint is missing, unsafe, incomplete or not a RoBERTa.
        HubError: the hub does not have it or can't be reached.
        ParityError: a graph does not answer as PyTorch does.
        QuantizationError: the model can't be made smaller in the way asked for.
    """
    names = _check_variants(variants)
    expanded = os.path.expanduser(output)
    if os.fspath(expanded).startswith("~"):
        raise InputError(f"{output}: there is no such user; for a folder of that name write ./~...")
    target = Path(os.path.abspath(expanded))
    staging.check_output(target, force=force)
    progress(f"finding {source}")
    checkpoint = resolve(os.fspath(source))
    found_task = task_of(checkpoint, task)
    progress(f"loading {checkpoint.name} for {found_task}")
    loaded = load(checkpoint, found_task)
    with staging.staged(target, force=force) as folder:
        _fill(folder, checkpoint, loaded, names, progress)
        Artifact(folder).verify()
    return Artifact(target)


def _check_variants(names: Sequence[str]) -> list[str]:
    wanted = [names] if isinstance(names, str) else list(names)
    unknown = [name for name in wanted if name not in layout.VARIANTS]
    if unknown or not wanted:
        raise InputError(
            (f"unknown variant {unknown[0]!r}" if unknown else "no variant")
            + f": choose from {', '.join(layout.VARIANTS)}"
        )
    return [name for name in layout.VARIANTS if name in wanted]


def _fill(
    folder: Path,
    checkpoint: Checkpoint,
    loaded: Loaded,
    names: list[str],
    progress: Callable[[str], None],
) -> None:
    progress("running PyTorch on the probe texts")
    probes = Probes(loaded)
    progress("exporting to ONNX")
    graphs = Fp32Graphs(*onnx_export.export(loaded))
    made = {}
    # FP32 always passes its check, whether it is kept or not: the others are made from it.
    for name in ["fp32", *(name for name in names if name != "fp32")]:
        progress(f"making {name}")
        made[name] = make(name, graphs, loaded, probes, folder)
    if "fp32" not in names:
        dropped = made.pop("fp32")
        for file in {dropped.graph, dropped.standard}:
            (folder / file).unlink()
    progress("writing the tokenizer, the manifest and the model card")
    _write_tokenizer(folder, loaded)
    _write_config(folder, checkpoint, loaded)
    card = model_card.original_card(checkpoint)
    manifest = Manifest(
        task=loaded.task,
        licence=model_card.licence_of(card),
        source=Source(checkpoint.name, checkpoint.revision, checkpoint.sha256),
        files=_files(folder),
        variants=made,
        tools={name: version(name) for name in _TOOLS},
    )
    text = model_card.render(checkpoint, manifest, card)
    (folder / layout.MODEL_CARD).write_bytes(text.encode())
    manifest = replace(manifest, files=_files(folder))
    (folder / layout.MANIFEST).write_bytes(manifest.to_json().encode())


def _write_tokenizer(folder: Path, loaded: Loaded) -> None:
    # As transformers has it in memory, which is what it answers with: it lets tokenizer_config.json
    # overrule tokenizer.json, and makes the latter where there are only vocab.json and merges.txt.
    tokenizer = loaded.tokenizer
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.save_pretrained(folder, legacy_format=False)


def _write_config(folder: Path, checkpoint: Checkpoint, loaded: Loaded) -> None:
    # What the runtime reads stands in the file, also where the checkpoint leaves it to the defaults
    # of transformers.
    filled = {key: getattr(loaded.model.config, key) for key in _CONFIG_KEYS}
    text = json.dumps({**filled, **checkpoint.config}, indent=2, sort_keys=True) + "\n"
    (folder / layout.CONFIG).write_bytes(text.encode())


def _files(folder: Path) -> dict[str, FileEntry]:
    return {
        path.relative_to(folder).as_posix(): FileEntry(path.stat().st_size, sha256_of(path))
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
