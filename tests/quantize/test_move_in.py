"""New variants move in whole or not at all, also where the run is killed on the way."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from distilroberta.export import build
from distilroberta.quantize import add
from distilroberta.quantize.add import quantize
from distilroberta.quantize.move_in import beside, move_in, tidy
from distilroberta.quantize.options import Options
from distilroberta.runtime import Artifact, pipeline
from distilroberta.runtime.errors import ArtifactError
from distilroberta.runtime.layout import standard_graph
from distilroberta.runtime.manifest import Variant

TEXT = "Paris is the <mask> of France."
# The interim manifest, two graphs, the card and the manifest.
FEWEST_STEPS = 5

KILLED_AT_THE_CARD = """\
import os, sys
from distilroberta.quantize.add import quantize
from distilroberta.quantize.options import Options

def replace(source, target):
    if str(target).endswith("README.md"):
        os._exit(9)
    real(source, target)

real, os.replace = os.replace, replace
quantize(sys.argv[1], ["int8"], options=Options(target="avx2"), force=True)
"""


class Stop(BaseException):
    """What nobody expects."""


@dataclass(frozen=True)
class Made:
    """An artifact, the files of a new variant that lie ready, and its manifest entry."""

    artifact: Path
    files: Path
    variants: dict[str, Variant]


@dataclass
class Fault:
    """Makes one of the steps that change an artifact fail, or all from then on."""

    artifact: Path
    at: int
    after: bool
    dead: bool
    steps: int = 0
    hit: bool = False

    def wrap(self, real: Callable[..., None]) -> Callable[..., None]:
        def step(*paths: Any, **options: Any) -> None:
            if self.hit and self.dead:
                raise Stop
            ours = any(
                isinstance(path, (str, Path)) and Path(path).is_relative_to(self.artifact)
                for path in paths
            )
            self.steps += ours
            now = ours and self.steps == self.at
            if now and not self.after:
                self.hit = True
                raise Stop
            real(*paths, **options)
            if now:
                self.hit = True
                raise Stop

        return step


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def places(mini: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Made]:
    """INT8 ready to be added, to replace itself, and for another processor."""
    root = tmp_path_factory.mktemp("made")
    fp32 = build(mini, root / "fp32", variants=["fp32"]).path

    def made(name: str, artifact: Path, target: str) -> Made:
        found: dict[str, Variant] = {}

        def kept(_: Artifact, folder: Path, variants: dict[str, Variant]) -> None:
            shutil.copytree(folder, root / name)
            found.update(variants)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(add, "move_in", kept)
            quantize(artifact, ["int8"], options=Options(target=target), force=True)
        return Made(artifact, root / name, found)

    added = made("portable", fp32, "portable")
    whole = Path(shutil.copytree(fp32, root / "whole"))
    move_in(Artifact(whole), Path(shutil.copytree(added.files, root / "moved")), added.variants)
    return {
        "add": added,
        "replace": Made(whole, added.files, added.variants),
        "other target": made("avx2", whole, "avx2"),
    }


@pytest.fixture(params=["add", "replace", "other target"])
def made(request: pytest.FixtureRequest, places: dict[str, Made], tmp_path: Path) -> Made:
    """One of these, to be copied."""
    return places[request.param]


def copied(made: Made, place: Path) -> tuple[Path, Path]:
    return (
        Path(shutil.copytree(made.artifact, place / "mini")),
        Path(shutil.copytree(made.files, place / ".mini.0.quantize")),
    )


def run_with(fault: Fault, folder: Path, variants: dict[str, Variant]) -> bool:
    """Move in with a fault; return whether there were enough steps for it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("replace", "rename", "unlink", "rmdir"):
            patch.setattr(os, name, fault.wrap(getattr(os, name)))
        try:
            move_in(Artifact(fault.artifact), folder, variants)
        except Stop:
            return True
    return False


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_an_error_at_any_step_changes_nothing(made: Made, tmp_path: Path, after: bool) -> None:
    before = contents(made.artifact)
    for at in count(1):
        artifact, folder = copied(made, tmp_path / str(at))
        if not run_with(Fault(artifact, at, after, dead=False), folder, made.variants):
            break
        assert contents(artifact) == before, at
        Artifact(artifact).verify()
    assert at > FEWEST_STEPS
    Artifact(artifact).verify()
    assert contents(artifact) != before or "int8" in Artifact(made.artifact).variants


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_run_killed_at_any_step_leaves_what_opens_and_the_next_one_mends(
    made: Made, tmp_path: Path, after: bool
) -> None:
    clean, folder = copied(made, tmp_path / "clean")
    move_in(Artifact(clean), folder, made.variants)
    for at in count(1):
        artifact, folder = copied(made, tmp_path / str(at))
        if not run_with(Fault(artifact, at, after, dead=True), folder, made.variants):
            break
        opened = Artifact(artifact)
        for variant in opened.variants:
            assert len(pipeline(None, opened, variant=variant)(TEXT, top_k=3)) == 3
        with beside(artifact) as again:
            whole = tidy(opened, again)
            whole.verify()
            shutil.copytree(made.files, again, dirs_exist_ok=True)
            move_in(whole, again, made.variants)
        Artifact(artifact).verify()
        assert contents(artifact) == contents(clean), at
    assert at > FEWEST_STEPS


def test_after_a_real_kill_quantize_works_again(places: dict[str, Made], tmp_path: Path) -> None:
    artifact = Path(shutil.copytree(places["other target"].artifact, tmp_path / "mini"))
    done = subprocess.run(
        [sys.executable, "-c", KILLED_AT_THE_CARD, str(artifact)], check=False, timeout=120
    )
    assert done.returncode == 9
    assert len(list(tmp_path.iterdir())) == 2
    assert Artifact(artifact).variants == ("fp32",)
    again = quantize(artifact, ["int8"], options=Options(target="avx2"))
    assert again.variant("int8").target == "avx2"
    again.verify()
    assert list(tmp_path.iterdir()) == [artifact]


def test_a_graph_that_no_killed_run_left_is_still_refused(
    places: dict[str, Made], tmp_path: Path
) -> None:
    artifact, _ = copied(places["add"], tmp_path)
    (artifact / standard_graph("int4")).write_bytes(b"of somebody")
    with pytest.raises(ArtifactError, match=r"does not list: onnx/model_q4\.onnx"):
        quantize(artifact, ["int8"])
    assert (artifact / standard_graph("int4")).read_bytes() == b"of somebody"


def test_modes_of_the_files_stay(places: dict[str, Made], tmp_path: Path) -> None:
    artifact, folder = copied(places["add"], tmp_path)
    for name, mode in (("README.md", 0o640), ("manifest.json", 0o604)):
        (artifact / name).chmod(mode)
    move_in(Artifact(artifact), folder, places["add"].variants)
    assert (artifact / "README.md").stat().st_mode & 0o777 == 0o640
    assert (artifact / "manifest.json").stat().st_mode & 0o777 == 0o604
