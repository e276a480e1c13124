"""Moving new variants into an artifact: all of them, or none.

First comes a manifest that lists neither the variants to be replaced nor the model card, then the
graphs, the card, and the manifest. So what the manifest says is true at every moment, and a run
that is killed leaves an artifact that opens. That it lists no card is how `tidy` knows.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from distilroberta.quantize import measured
from distilroberta.runtime import layout
from distilroberta.runtime.artifact import Artifact
from distilroberta.runtime.digest import sha256_of
from distilroberta.runtime.manifest import FileEntry, Manifest, Variant

_SUFFIX = ".quantize"
# In the folder beside the artifact: what is to go in that is no graph, and what was taken out.
_INTERIM, _INTERIM_AGAIN, _TAKEN = "interim.json", "interim-again.json", "taken"


@contextmanager
def beside(artifact: Path) -> Iterator[Path]:
    """Give a folder beside an artifact, on the same file system: files move in by renaming."""
    with tempfile.TemporaryDirectory(
        prefix=f".{artifact.name}.", suffix=_SUFFIX, dir=artifact.parent, ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)


def tidy(opened: Artifact, folder: Path) -> Artifact:
    """Make an artifact whole again that a run left which was killed while it moved files.

    The graphs it left that the manifest does not list are removed, and so are the folders of such
    runs; the model card is brought up to date. Any other artifact stays as it is.

    Args:
        opened: the artifact.
        folder: an empty folder of `beside`.

    Returns:
        The artifact, opened.

    Raises:
        OSError: the disk is full, or fails in another way.
    """
    if layout.MODEL_CARD in opened.manifest.files:
        return opened
    for name in _graph_names() - opened.manifest.files.keys():
        (opened.path / name).unlink(missing_ok=True)
    if (opened.path / layout.MODEL_CARD).is_file():
        _put_card_and_manifest(opened.path, folder, _with_card(opened, folder, opened.manifest))
    for path in opened.path.parent.glob(f".{opened.path.name}.*{_SUFFIX}"):
        if path != folder:
            shutil.rmtree(path, ignore_errors=True)
    return Artifact(opened.path)


def move_in(opened: Artifact, folder: Path, made: Mapping[str, Variant]) -> None:
    """Move variants in; on any error, and on Ctrl-C, all is put back as it was.

    Args:
        opened: the artifact, which must hold a variant that is not replaced.
        folder: the folder of `beside` that holds the new files, under the names they are to have.
        made: the manifest entries of the new variants, by name.

    Raises:
        OSError: the disk is full, or fails in another way.
    """
    old = opened.manifest
    others = {name: one for name, one in old.variants.items() if name not in made}
    new = _files(made.values())
    gone = _files(old.variants.values()) - _files(others.values())
    listed = {
        name: entry
        for name, entry in old.files.items()
        if name not in gone and name != layout.MODEL_CARD
    }
    for name in new:
        _flush(folder / name)
    interim = replace(old, variants=others, files=listed)
    together = {**others, **made}
    final = replace(
        old,
        variants={name: together[name] for name in layout.VARIANTS if name in together},
        files={**listed, **{name: _entry(folder / name) for name in new}},
    )
    has_card = layout.MODEL_CARD in old.files
    if has_card:
        final = _with_card(opened, folder, final)
    taken = folder / _TAKEN
    (taken / layout.GRAPHS).mkdir(parents=True)
    for name in (layout.MANIFEST, layout.MODEL_CARD) if has_card else (layout.MANIFEST,):
        shutil.copy2(opened.path / name, taken / name)
    for name in (_INTERIM, _INTERIM_AGAIN):
        _stage(folder / name, interim.to_json(), like=opened.path / layout.MANIFEST)
    try:
        os.replace(folder / _INTERIM, opened.path / layout.MANIFEST)
        for name in sorted(gone):
            os.replace(opened.path / name, taken / name)
        for name in sorted(new):
            os.replace(folder / name, opened.path / name)
        _put_card_and_manifest(opened.path, folder, final)
    except BaseException:
        _put_back(opened.path, folder, new=new, gone=gone)
        raise


def _put_back(artifact: Path, folder: Path, *, new: set[str], gone: set[str]) -> None:
    # If this fails too, the manifest that was true before every step still is.
    taken = folder / _TAKEN
    os.replace(folder / _INTERIM_AGAIN, artifact / layout.MANIFEST)
    for name in new - gone:
        (artifact / name).unlink(missing_ok=True)
    for name in (*gone, layout.MODEL_CARD, layout.MANIFEST):  # the manifest last
        if (taken / name).exists():
            os.replace(taken / name, artifact / name)


def _put_card_and_manifest(artifact: Path, folder: Path, manifest: Manifest) -> None:
    _stage(folder / layout.MANIFEST, manifest.to_json(), like=artifact / layout.MANIFEST)
    if layout.MODEL_CARD in manifest.files:
        os.replace(folder / layout.MODEL_CARD, artifact / layout.MODEL_CARD)
    os.replace(folder / layout.MANIFEST, artifact / layout.MANIFEST)


def _with_card(opened: Artifact, folder: Path, manifest: Manifest) -> Manifest:
    # Stages the card as it is to be, and returns the manifest that lists it.
    old, new = opened.path / layout.MODEL_CARD, folder / layout.MODEL_CARD
    _stage(new, measured.update(old.read_text("utf-8"), manifest), like=old)
    return replace(manifest, files={**manifest.files, layout.MODEL_CARD: _entry(new)})


def _stage(path: Path, text: str, *, like: Path) -> None:
    path.write_bytes(text.encode())
    _flush(path)
    shutil.copymode(like, path)


def _entry(path: Path) -> FileEntry:
    return FileEntry(path.stat().st_size, sha256_of(path))


def _flush(path: Path) -> None:
    # Asks the disk to keep it, so that a power cut after the rename loses nothing.
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _files(variants: Iterable[Variant]) -> set[str]:
    return {name for one in variants for name in (one.graph, one.standard, *one.reads)}


def _graph_names() -> set[str]:
    standard = {
        layout.standard_graph(name, target) for name in layout.VARIANTS for target in layout.TARGETS
    }
    return standard | {layout.served_graph(name) for name in layout.VARIANTS}
