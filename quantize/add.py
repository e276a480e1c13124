"""Making further variants of an artifact from its FP32 graphs, without PyTorch."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from distilroberta.quantize import measured, onnx_file
from distilroberta.quantize import options as option_rules
from distilroberta.quantize.calibration_text import Texts
from distilroberta.quantize.errors import StagingError
from distilroberta.quantize.feeds import Feeds
from distilroberta.quantize.options import Options
from distilroberta.quantize.probes import Probes
from distilroberta.quantize.recipe import NOTHING, Kept, Prepared
from distilroberta.quantize.variants import Graphs, make, prepare
from distilroberta.runtime import layout
from distilroberta.runtime.artifact import Artifact
from distilroberta.runtime.digest import sha256_of
from distilroberta.runtime.errors import InputError
from distilroberta.runtime.manifest import FileEntry, Manifest, Variant
from distilroberta.runtime.model_config import ModelConfig
from distilroberta.runtime.tokenizer import Tokenizer

_FP32 = "fp32"
_TOOLS = ("distilroberta-onnx", "onnx", "onnxruntime")

# Chooses the weights that stay in a higher precision, of a recipe made ready.
Choose = Callable[[Prepared, Graphs, Feeds], Kept]


def _silent(_: str) -> None:
    """Report progress to nobody."""


@dataclass(frozen=True)
class Checked:
    """An artifact's FP32 side: its graphs, calibration batches and probes."""

    graphs: Graphs
    feeds: Feeds
    probes: Probes


def quantize(
    artifact: str | os.PathLike[str],
    variants: Sequence[str],
    *,
    options: Options | None = None,
    calibration: Path | None = None,
    choose: Choose | None = None,
    force: bool = False,
    progress: Callable[[str], None] = _silent,
) -> Artifact:
    """Add variants to an artifact, made from its FP32 graphs.

    Everything is made and measured beside the artifact before anything in it changes. Then the
    files move in, and the manifest last. On any error before that, and on Ctrl-C, it is as it was.

    Args:
        artifact: the artifact's folder; it must hold `fp32`, and be as its manifest says.
        variants: any of `layout.VARIANTS` but `fp32`.
        options: what is chosen about them.
        calibration: texts to observe, see `calibration_text`; by default those of the package.
        choose: given one variant, chooses the weights to keep in a higher precision.
        force: replace variants that are there.
        progress: called with a line on what is done next.

    Returns:
        The artifact, opened.

    Raises:
        InputError: a variant is unknown, there already, or there is no `fp32`; or the options do
            not go together.
        ArtifactError: the artifact is damaged.
        QuantizationError: the model can't be made smaller in this way, or answers too differently.
        StagingError: the disk is full, or fails in another way.
    """
    options = options or Options()
    opened = Artifact(artifact)
    names = _check(opened, variants, options, force=force)
    progress("verifying the artifact")
    opened.verify()
    progress("running FP32 on the probe texts")
    checked = _checked(opened, calibration)
    try:
        with _beside(opened.path) as folder:
            made = {}
            for name in names:
                progress(f"making {name}")
                recipe, prepared = prepare(name, checked.graphs, checked.feeds, options)
                kept = choose(prepared, checked.graphs, checked.feeds) if choose else NOTHING
                made[name] = make(
                    name,
                    recipe,
                    prepared,
                    checked.graphs,
                    checked.probes,
                    folder,
                    target=option_rules.target_of(name, options),
                    kept=kept,
                )
            progress("moving the new files in")
            _move_in(opened, folder, made)
    except OSError as error:
        raise StagingError(f"{opened.path} could not be written: {error}") from error
    return Artifact(opened.path)


def _check(
    opened: Artifact, variants: Sequence[str], options: Options, *, force: bool
) -> list[str]:
    names = option_rules.check(variants, options)
    if _FP32 in names:
        raise InputError("fp32 is what variants are made from; `distilroberta build` makes it")
    if _FP32 not in opened.variants:
        raise InputError(
            f"{opened.path} holds no fp32 to make variants from (it has "
            f"{', '.join(opened.variants)}): build it again with fp32 among the variants"
        )
    there = [name for name in names if name in opened.variants]
    if there and not force:
        raise InputError(f"{opened.path} has {', '.join(there)} already: replace with --force")
    return names


def _checked(opened: Artifact, calibration: Path | None) -> Checked:
    fp32 = opened.variant(_FP32)
    tokenizer = Tokenizer(opened.path, ModelConfig.read(opened.file(layout.CONFIG)))
    session = opened.session(_FP32, provider="cpu")
    probes = Probes(tokenizer, opened.task, session.run)
    served = opened.file(fp32.graph) if fp32.graph != fp32.standard else None
    graphs = Graphs(
        onnx_file.read(opened.file(fp32.standard)),
        onnx_file.read(served) if served is not None else None,
    )
    return Checked(graphs, Feeds(tokenizer, opened.task, Texts(calibration)), probes)


@contextmanager
def _beside(artifact: Path) -> Iterator[Path]:
    # On the same file system, so that what is made can be moved in by renaming it.
    with tempfile.TemporaryDirectory(
        prefix=f".{artifact.name}.", suffix=".new", dir=artifact.parent
    ) as folder:
        yield Path(folder)


def _move_in(opened: Artifact, folder: Path, made: dict[str, Variant]) -> None:
    old = opened.manifest
    new_files = {
        path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()
    }
    entries = {
        name: FileEntry(path.stat().st_size, sha256_of(path)) for name, path in new_files.items()
    }
    for path in new_files.values():
        _flush(path)
    others = {name: one for name, one in old.variants.items() if name not in made}
    all_made = {**others, **made}
    variants = {name: all_made[name] for name in layout.VARIANTS if name in all_made}
    used = {path for one in variants.values() for path in (one.graph, one.standard, *one.reads)}
    graphs = {path for one in old.variants.values() for path in (one.graph, one.standard)}
    files = {name: entry for name, entry in old.files.items() if name in used or name not in graphs}
    # A variant that is replaced is taken out of the manifest before its files change, so that
    # what the manifest says is true at every moment.
    if len(others) < len(old.variants):
        kept = {path for one in others.values() for path in (one.graph, one.standard, *one.reads)}
        _write_manifest(
            opened.path,
            replace(
                old,
                variants=others,
                files={n: e for n, e in old.files.items() if n in kept or n not in graphs},
            ),
        )
    for name in sorted(graphs - used):
        (opened.path / name).unlink()
    for name, path in new_files.items():
        (opened.path / name).parent.mkdir(exist_ok=True)
        os.replace(path, opened.path / name)
    manifest = replace(
        old,
        variants=variants,
        files={**files, **entries},
        tools={**old.tools, **{name: version(name) for name in _TOOLS}},
    )
    _write_manifest(opened.path, _with_card(opened.path, manifest))


def _with_card(folder: Path, manifest: Manifest) -> Manifest:
    path = folder / layout.MODEL_CARD
    if layout.MODEL_CARD not in manifest.files:
        return manifest
    text = measured.update(path.read_text("utf-8"), manifest)
    _write(path, text.encode())
    entry = FileEntry(path.stat().st_size, sha256_of(path))
    return replace(manifest, files={**manifest.files, layout.MODEL_CARD: entry})


def _write_manifest(folder: Path, manifest: Manifest) -> None:
    _write(folder / layout.MANIFEST, manifest.to_json().encode())


def _write(path: Path, content: bytes) -> None:
    # Beside it and renamed, so that a reader sees the old one or the new one.
    written = path.with_name(f".{path.name}.new")
    try:
        written.write_bytes(content)
        shutil.copymode(path, written)
        _flush(written)
        os.replace(written, path)
    finally:
        written.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
