"""`quantize` adds variants to an artifact: all of it, or nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from distilroberta.export import build
from distilroberta.quantize import add, onnx_file
from distilroberta.quantize.add import quantize
from distilroberta.quantize.errors import QuantizationError, StagingError
from distilroberta.quantize.options import Options
from distilroberta.runtime import Artifact, pipeline
from distilroberta.runtime.errors import ArtifactError, InputError
from distilroberta.runtime.layout import standard_graph

TEXT = "Paris is the <mask> of France."


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def fp32(mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(mini, tmp_path_factory.mktemp("add") / "mini", variants=["fp32"]).path


@pytest.fixture
def artifact(fp32: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(fp32, tmp_path / "place" / "mini"))


@pytest.mark.parametrize("variant", ["fp16", "int8", "int8-static", "int4"])
def test_a_variant_is_the_one_that_build_makes(
    mini: Path, artifact: Path, tmp_path: Path, variant: str
) -> None:
    added = quantize(artifact, [variant])
    built = build(mini, tmp_path / "built", variants=["fp32", variant])
    added.verify()
    assert added.variants == built.variants == ("fp32", variant)
    ours, theirs = added.manifest, built.manifest
    for name in (ours.variants[variant].graph, ours.variants[variant].standard):
        assert ours.files[name] == theirs.files[name], name
    # Measured against the FP32 graph here, and against PyTorch there.
    assert ours.variants[variant].agreement.kl == pytest.approx(
        theirs.variants[variant].agreement.kl, abs=1e-5
    )
    assert len(pipeline(None, added, variant=variant)(TEXT, top_k=3)) == 3


def test_the_model_card_lists_what_is_there_now(artifact: Path) -> None:
    before = (artifact / "README.md").read_text("utf-8")
    quantize(artifact, ["int8"])
    after = (artifact / "README.md").read_text("utf-8")
    assert "| int8 |" in after
    assert "| int8 |" not in before
    assert "| fp32 |" in after
    outside = before.partition("## Intended use")
    assert after.endswith("".join(outside[1:]))


def test_nothing_is_left_beside_the_artifact(artifact: Path) -> None:
    quantize(artifact, ["int8"])
    assert list(artifact.parent.iterdir()) == [artifact]


def test_files_of_others_stay(artifact: Path) -> None:
    (artifact / ".git").mkdir()
    (artifact / ".git" / "HEAD").write_text("ref: refs/heads/main")
    quantize(artifact, ["int8"])
    assert (artifact / ".git" / "HEAD").read_text() == "ref: refs/heads/main"


def test_another_target_replaces_the_variant_and_its_file(artifact: Path) -> None:
    quantize(artifact, ["int8"])
    with pytest.raises(InputError, match="has int8 already: replace with --force"):
        quantize(artifact, ["int8"], options=Options(target="avx2"))
    replaced = quantize(artifact, ["int8"], options=Options(target="avx2"), force=True)
    assert replaced.variant("int8").target == "avx2"
    assert replaced.variant("int8").standard == "onnx/model_quint8_avx2.onnx"
    assert not (artifact / standard_graph("int8")).exists()
    replaced.verify()


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), RuntimeError("stop")], ids=["ctrl-c", "bug"])
@pytest.mark.parametrize("line", ["verifying", "running", "making int8", "moving"])
def test_an_interrupted_run_changes_nothing(artifact: Path, line: str, stop: BaseException) -> None:
    before = contents(artifact)

    def progress(said: str) -> None:
        if said.startswith(line):
            raise stop

    with pytest.raises(type(stop)):
        quantize(artifact, ["int8"], progress=progress)
    assert contents(artifact) == before
    assert list(artifact.parent.iterdir()) == [artifact]


def test_a_full_disk_changes_nothing(artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(artifact)

    def write(*_: object) -> onnx_file.Ranges:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(onnx_file, "write", write)
    with pytest.raises(StagingError, match="No space left on device"):
        quantize(artifact, ["int8"])
    assert contents(artifact) == before


def test_at_every_step_of_the_move_the_manifest_is_true(
    artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quantize(artifact, ["int8"])
    replace_file = add.os.replace
    steps: list[tuple[str, ...]] = []

    def looked_at(source: Path, target: Path) -> None:
        steps.append(Artifact(artifact).variants)
        replace_file(source, target)
        Artifact(artifact)

    monkeypatch.setattr(add.os, "replace", looked_at)
    quantize(artifact, ["int8"], options=Options(target="avx512_vnni"), force=True)
    assert ("fp32",) in steps
    Artifact(artifact).verify()


def test_a_damaged_artifact_is_refused(artifact: Path) -> None:
    path = artifact / standard_graph("fp32")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match="was changed"):
        quantize(artifact, ["int8"])


def test_without_fp32_there_is_nothing_to_make_variants_from(mini: Path, tmp_path: Path) -> None:
    built = build(mini, tmp_path / "mini", variants=["int8"])
    with pytest.raises(InputError, match="holds no fp32 to make variants from"):
        quantize(built.path, ["int4"])


def test_fp32_is_not_made_here(artifact: Path) -> None:
    with pytest.raises(InputError, match="`distilroberta build` makes it"):
        quantize(artifact, ["fp32"])


def test_weights_that_are_kept_are_named(artifact: Path) -> None:
    def choose(prepared: add.Prepared, *_: object) -> frozenset[str]:
        return frozenset(prepared.weights[:2])

    made = quantize(artifact, ["int8"], choose=choose)
    scheme = made.variant("int8").scheme
    assert scheme.endswith(
        "; in a higher precision: encoder.layer.0.block.attention_output.weight, "
        "encoder.layer.0.qkv.weight"
    )


def test_a_variant_too_far_from_fp32_is_not_added(
    artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from distilroberta.quantize import recipes

    strict = replace(recipes.RECIPES["int8"], lowest_cosine=1.0)
    monkeypatch.setitem(recipes.RECIPES, "int8", strict)
    before = contents(artifact)
    with pytest.raises(QuantizationError, match="does not answer as FP32 does"):
        quantize(artifact, ["int8"])
    assert contents(artifact) == before
