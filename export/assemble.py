"""`build`: a checkpoint to an artifact, in one step that succeeds or leaves nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from distilroberta.export import model_card, onnx_export, parity, quality
from distilroberta.export.checkpoint import Loaded, load, task_of
from distilroberta.export.onnx_export import ExportedGraph
from distilroberta.export.reference import Reference
from distilroberta.export.source import Checkpoint, resolve
from distilroberta.quantize import options as option_rules
from distilroberta.quantize import staging
from distilroberta.quantize.calibration_text import Progress, Texts
from distilroberta.quantize.feeds import Feeds
from distilroberta.quantize.options import Options
from distilroberta.quantize.probes import Probes
from distilroberta.quantize.quality import recorded
from distilroberta.quantize.variants import Graphs, make, prepare
from distilroberta.runtime import layout
from distilroberta.runtime.artifact import Artifact
from distilroberta.runtime.digest import sha256_of
from distilroberta.runtime.errors import InputError
from distilroberta.runtime.manifest import FileEntry, Manifest, Source, Variant
from distilroberta.runtime.tasks.model_config import ModelConfig
from distilroberta.runtime.tasks.tokenizer import Tokenizer

_TOOLS = ("distilroberta-onnx", "onnx", "onnxruntime", "tokenizers", "torch", "transformers")

_CONFIG_KEYS = ("max_position_embeddings", "pad_token_id", "vocab_size")


def _silent(*_: object) -> None:
    """Report progress to nobody."""


def build(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    task: str | None = None,
    variants: Sequence[str] = layout.DEFAULT_VARIANTS,
    options: Options | None = None,
    calibration: str | os.PathLike[str] | None = None,
    data: str | os.PathLike[str] | None = None,
    max_drop: float | None = None,
    force: bool = False,
    progress: Callable[[str], None] = _silent,
    advance: Progress = _silent,
) -> Artifact:
    """Build an artifact from a PyTorch checkpoint.

    Args:
        source: a checkpoint folder, or a hub id with an optional `@revision`.
        output: the artifact's folder. It appears when all is done, and not at all on an error.
        task: one of `layout.TASKS`; by default what the checkpoint's config says, which is
            `feature-extraction` for one without a head. That task takes any checkpoint, and leaves
            its head out.
        variants: any of `layout.VARIANTS`.
        options: what is chosen about them.
        calibration: texts that the variants are made by, see `quantize.calibration_text`; by
            default those of the package.
        data: labelled data to score every variant on, see `quantize.quality.readers`; what they
            score goes into the manifest and the model card.
        max_drop: with `data`, how many points of the task's main metric a variant may lose. It is
            scored on a CPU, where onnxruntime computes `fp16` in FP32 and it loses nothing.
        force: replace the artifact that stands in `output`; a folder of anything else stays.
        progress: called with a line on what is done next.
        advance: called after each calibration text of each pass, and each batch that is scored,
            with how many texts or rows are done, and how many there are.

    Returns:
        The artifact, opened.

    Raises:
        InputError: a variant or the task is unknown, the options do not go together, or `output`
            exists or can't be made.
        StagingError: the disk is full, or fails in another way.
        DataError: `data` can't be read, has no labels, or does not fit the task.
        CheckpointError: the checkpoint is missing, unsafe, incomplete or not a RoBERTa.
        HubError: the hub does not have it or can't be reached.
        ParityError: an FP32 graph does not answer as PyTorch does.
        QuantizationError: the model can't be made smaller in the way asked for, or answers too
            differently then.
        QualityError: a variant loses more than `max_drop`.
    """
    options = options or Options()
    names = option_rules.check(variants, options, calibration)
    labelled = None if data is None else Path(data)
    recorded.check(labelled, max_drop)
    texts = Texts(calibration, progress=advance)
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
        _write_tokenizer(folder, loaded)
        _write_config(folder, checkpoint, loaded)
        prepared = None
        if labelled is not None:
            progress(f"reading {labelled.name}")
            prepared = recorded.prepare(folder, loaded.task, labelled)
        made = _make(folder, loaded, names, options, texts, progress)
        progress("writing the manifest and the model card")
        _write_manifest(folder, checkpoint, loaded, made)
        if prepared is not None:
            progress(f"scoring the variants on {prepared.data.name}")
            found = quality.score(Artifact(folder), loaded, prepared, max_drop, advance)
            made = {name: replace(one, evaluation=found[name]) for name, one in made.items()}
            _write_manifest(folder, checkpoint, loaded, made)
        Artifact(folder).verify()
    return Artifact(target)


def _make(
    folder: Path,
    loaded: Loaded,
    names: list[str],
    options: Options,
    texts: Texts,
    progress: Callable[[str], None],
) -> dict[str, Variant]:
    tokenizer = Tokenizer(folder, ModelConfig.read(folder / layout.CONFIG))
    feeds = Feeds(tokenizer, loaded.task, texts)
    progress("running PyTorch on the probe texts")
    probes = Probes(tokenizer, loaded.task, Reference(loaded).served)
    progress("exporting to ONNX")
    standard, served = onnx_export.export(loaded)
    graphs = Graphs(standard.model, served.model if served is not None else None)
    made = {}
    # FP32 always passes its check, whether it is kept or not: the others are made from it.
    for name in dict.fromkeys(["fp32", *names]):
        progress(f"making {name}")
        recipe, prepared = prepare(name, graphs, feeds, options)
        target = option_rules.target_of(name, options)
        made[name] = make(name, recipe, prepared, graphs, probes, folder, target=target)
        if name == "fp32":
            _check_parity(folder, made[name], standard, served, loaded)
    if "fp32" not in names:
        dropped = made.pop("fp32")
        for file in {dropped.graph, dropped.standard}:
            (folder / file).unlink()
    return made


def _check_parity(
    folder: Path,
    variant: Variant,
    standard: ExportedGraph,
    served: ExportedGraph | None,
    loaded: Loaded,
) -> None:
    for name, graph in ((variant.standard, standard), (variant.graph, served)):
        if graph is not None:
            parity.check(
                folder / name,
                loaded,
                served=graph is served,
                outputs=graph.outputs,
                what=name,
            )


def _write_manifest(
    folder: Path, checkpoint: Checkpoint, loaded: Loaded, made: dict[str, Variant]
) -> None:
    for name in (layout.MANIFEST, layout.MODEL_CARD):
        (folder / name).unlink(missing_ok=True)
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
