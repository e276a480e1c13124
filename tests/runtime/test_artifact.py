"""What opens as an artifact, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distilroberta.export import build
from distilroberta.runtime import Artifact, ArtifactError, InputError, Manifest, pipeline

Editor = Callable[..., None]
Checkpoint = Callable[..., Path]
Damage = Callable[[bytes], bytes]

TEXT = "Paris is the <mask> of France."


def files_of(folder: Path) -> list[Path]:
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    return [folder / name for name in manifest["files"]]


@pytest.mark.parametrize("kind", ["missing", "file", "empty"])
def test_no_artifact(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "it"
    if kind == "file":
        path.write_bytes(b"")
    elif kind == "empty":
        path.mkdir()
    message = "it has no manifest" if kind == "empty" else "is not a folder"
    with pytest.raises(ArtifactError, match=message):
        Artifact(path)


@pytest.mark.parametrize("path", ["a\0b", "\ud800", "x" * 5000], ids=["NUL", "surrogate", "long"])
def test_path_that_can_not_exist(path: str) -> None:
    with pytest.raises(ArtifactError, match="is not a folder"):
        Artifact(path)


def test_link_to_itself(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(ArtifactError, match="is not a folder"):
        Artifact(tmp_path / "loop")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(None, "can't be read", id="missing"),
        pytest.param(lambda content: content[:-1], "the manifest says", id="one byte less"),
        pytest.param(lambda content: content[:10], "has 10 bytes", id="truncated"),
        pytest.param(lambda content: b"", "has 0 bytes", id="empty"),
        pytest.param(lambda content: content + b"\0", "the manifest says", id="one byte more"),
    ],
)
def test_file_of_another_size_is_refused_at_open(
    broken_artifact: Path, damage: Damage | None, message: str
) -> None:
    for path in files_of(broken_artifact):
        content = path.read_bytes()
        path.unlink()
        if damage is not None:
            path.write_bytes(damage(content))
        with pytest.raises(ArtifactError, match=f"{path.name}.*{message}"):
            Artifact(broken_artifact)
        path.write_bytes(content)
    Artifact(broken_artifact).verify()


def test_flipped_byte_is_refused_by_verify(broken_artifact: Path) -> None:
    for path in files_of(broken_artifact):
        content = path.read_bytes()
        for place in (0, len(content) // 2, len(content) - 1):
            changed = bytearray(content)
            changed[place] ^= 1
            path.write_bytes(changed)
            with pytest.raises(ArtifactError, match=f"{path.name} was changed: its SHA-256"):
                Artifact(broken_artifact).verify()
        path.write_bytes(content)
    Artifact(broken_artifact).verify()


@pytest.mark.parametrize("name", ["new.txt", "onnx/new.onnx", "deep/er/new"])
def test_unlisted_file_is_refused_by_verify(broken_artifact: Path, name: str) -> None:
    path = broken_artifact / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    with pytest.raises(ArtifactError, match=f"does not list: {name};"):
        Artifact(broken_artifact).verify()


def test_folder_of_git_or_a_hub_does_not_matter(broken_artifact: Path) -> None:
    for name in (".git", ".cache/huggingface"):
        (broken_artifact / name).mkdir(parents=True)
        (broken_artifact / name / "index").write_bytes(b"x")
    Artifact(broken_artifact).verify()


def test_folder_in_the_place_of_a_file(broken_artifact: Path) -> None:
    (broken_artifact / "config.json").unlink()
    (broken_artifact / "config.json").mkdir()
    with pytest.raises(ArtifactError, match=r"config\.json is not a plain file"):
        Artifact(broken_artifact)


@pytest.mark.parametrize("name", ["config.json", "onnx"], ids=["file", "folder"])
def test_link_that_leaves_the_folder(broken_artifact: Path, tmp_path: Path, name: str) -> None:
    shutil.move(broken_artifact / name, tmp_path / "outside")
    (broken_artifact / name).symlink_to(tmp_path / "outside")
    with pytest.raises(ArtifactError, match="through a link that leaves the artifact"):
        Artifact(broken_artifact)


def test_link_in_a_circle(broken_artifact: Path) -> None:
    (broken_artifact / "config.json").unlink()
    (broken_artifact / "config.json").symlink_to("config.json")
    with pytest.raises(ArtifactError, match=r"config\.json is listed .* can't be read"):
        Artifact(broken_artifact)


def test_link_to_the_folder_or_inside_it_is_fine(broken_artifact: Path, tmp_path: Path) -> None:
    (broken_artifact / ".cache").mkdir()
    shutil.move(broken_artifact / "config.json", broken_artifact / ".cache" / "config.json")
    (broken_artifact / "config.json").symlink_to(".cache/config.json")
    (tmp_path / "link").symlink_to(broken_artifact, target_is_directory=True)
    opened = Artifact(tmp_path / "link")
    opened.verify()
    assert opened.path == broken_artifact.resolve()
    assert len(pipeline(None, opened)(TEXT)) == 5


def test_unknown_variant(mini_artifact: Artifact) -> None:
    with pytest.raises(InputError, match=r"'int3' is not in .* \(it has fp32, fp16, int8\)"):
        pipeline(None, mini_artifact, variant="int3")


@pytest.mark.parametrize(
    ("held", "on_cpu", "on_gpu"),
    [
        (["fp32", "fp16", "int8-static", "int8", "int4"], "int8", "fp16"),
        (["fp32", "fp16", "int8"], "int8", "fp16"),
        (["fp32", "fp16", "int8-static", "int4"], "fp32", "fp16"),
        (["fp16"], "fp16", "fp16"),
        (["fp32", "int8-static", "int8", "int4"], "int8", "fp32"),
        (["fp16", "int8-static", "int4"], "int8-static", "fp16"),
        (["int8-static", "int8", "int4"], "int8", "int8-static"),
        (["fp16", "int4"], "int4", "fp16"),
        (["int8", "int4"], "int8", "int8"),
        (["int8"], "int8", "int8"),
        (["int4"], "int4", "int4"),
        (["int3"], "int3", "int3"),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, list) else value,
)
def test_auto_takes_what_is_held(
    broken_artifact: Path, edit_json: Editor, held: list[str], on_cpu: str, on_gpu: str
) -> None:
    def keep(manifest: dict[str, Any]) -> None:
        entries = manifest["variants"]
        manifest["variants"] = {name: entries.get(name, entries["int8"]) for name in held}

    edit_json(broken_artifact, "manifest.json", keep)
    opened = Artifact(broken_artifact)
    assert [opened.choose(name) for name in ("cpu", "cuda", "tensorrt")] == [on_cpu, on_gpu, on_gpu]


def test_auto_answers_as_int8_on_a_cpu(mini_artifact: Artifact) -> None:
    chosen = pipeline(None, mini_artifact, provider="cpu")(TEXT)
    assert chosen == pipeline(None, mini_artifact, variant="int8", provider="cpu")(TEXT)
    assert chosen != pipeline(None, mini_artifact, variant="fp32", provider="cpu")(TEXT)


@pytest.mark.parametrize(
    ("side", "change", "message"),
    [
        ("inputs", lambda tensors: tensors.pop(), "inputs are"),
        ("inputs", lambda tensors: tensors.reverse(), "inputs are"),
        ("inputs", lambda tensors: tensors[0].update(name="ids"), "inputs are"),
        ("inputs", lambda tensors: tensors[0].update(dtype="int32"), "inputs are"),
        ("inputs", lambda tensors: tensors[0].update(shape=["batch_size"]), "inputs are"),
        ("inputs", lambda tensors: tensors[0].update(shape=[1, "sequence_length"]), "inputs are"),
        ("outputs", lambda tensors: tensors.clear(), "outputs are"),
        ("outputs", lambda tensors: tensors[0].update(name="scores"), "outputs are"),
        ("outputs", lambda tensors: tensors[0].update(dtype="float16"), "outputs are"),
        ("outputs", lambda tensors: tensors[0]["shape"].append(5), "outputs are"),
    ],
    ids=[
        *("fewer", "other order", "other name", "other type", "other rank", "fixed batch"),
        *("none", "output name", "output type", "output rank"),
    ],
)
def test_graph_that_is_not_what_the_manifest_says(
    broken_artifact: Path, edit_json: Editor, side: str, change: Callable[[Any], Any], message: str
) -> None:
    def edit(manifest: dict[str, Any]) -> None:
        change(manifest["variants"]["int8"][side])

    edit_json(broken_artifact, "manifest.json", edit)
    with pytest.raises(ArtifactError, match=rf"{message}.*the manifest says"):
        pipeline(None, broken_artifact, variant="int8")


def test_graph_of_another_variant(broken_artifact: Path, edit_json: Editor) -> None:
    def edit(manifest: dict[str, Any]) -> None:
        manifest["variants"]["int8"]["graph"] = "onnx/model.onnx"

    edit_json(broken_artifact, "manifest.json", edit)
    with pytest.raises(ArtifactError, match="outputs are"):
        pipeline(None, broken_artifact, variant="int8")


@pytest.mark.parametrize("content", [b"", b"no graph", b"\x08\x0a" * 50], ids=repr)
def test_graph_that_onnxruntime_can_not_load(
    broken_artifact: Path, edit_json: Editor, content: bytes
) -> None:
    (broken_artifact / "onnx" / "served_int8.onnx").write_bytes(content)

    def edit(manifest: dict[str, Any]) -> None:
        manifest["files"]["onnx/served_int8.onnx"]["bytes"] = len(content)

    edit_json(broken_artifact, "manifest.json", edit)
    with pytest.raises(ArtifactError, match=r"served_int8\.onnx: onnxruntime .* can't load it"):
        pipeline(None, broken_artifact, variant="int8")


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        pytest.param(
            "config.json",
            lambda tree: tree.update(vocab_size=tree["vocab_size"] - 1),
            "tokens, the model .*: it belongs to another model",
            id="more tokens than the model",
        ),
        pytest.param(
            "config.json",
            lambda tree: tree.update(vocab_size=tree["vocab_size"] + 1),
            "vocab_size in config.json is for .* classes, the graph has",
            id="fewer classes than the config",
        ),
        pytest.param(
            "config.json",
            lambda tree: tree.pop("max_position_embeddings"),
            r"config\.json is not a RoBERTa config: KeyError",
            id="no positions",
        ),
        pytest.param(
            "config.json",
            lambda tree: tree.update(pad_token_id=None),
            r"config\.json is not a RoBERTa config",
            id="no padding token",
        ),
        pytest.param(
            "config.json",
            lambda tree: tree.update(max_position_embeddings=1),
            r"config\.json: 1 positions leave no room",
            id="no room for a token",
        ),
        pytest.param(
            "tokenizer.json",
            lambda tree: tree.update(model={}),
            r"tokenizer\.json is not a tokenizer",
            id="no tokenizer",
        ),
        pytest.param(
            "tokenizer_config.json",
            lambda tree: tree.update({"mask_token": "<blank>"}),
            r"the tokenizer has no <blank>; build it again",
            id="no mask token",
        ),
    ],
)
def test_files_that_do_not_fit_each_other(
    broken_artifact: Path, edit_json: Editor, name: str, change: Callable[[Any], Any], message: str
) -> None:
    edit_json(broken_artifact, name, change)
    Artifact(broken_artifact).verify()  # the bytes are as listed
    with pytest.raises(ArtifactError, match=message):
        pipeline(None, broken_artifact)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json"])
def test_manifest_must_list_what_is_read(
    broken_artifact: Path, edit_json: Editor, name: str
) -> None:
    edit_json(broken_artifact, "manifest.json", lambda manifest: manifest["files"].pop(name))
    with pytest.raises(ArtifactError, match=f"the manifest lists no {name}"):
        pipeline(None, broken_artifact)


@pytest.mark.parametrize(
    "name", ["with space", "модель", "模型", "\U0001f600", "a" * 200, "per%20cent", "-dash"]
)
def test_any_folder_name(mini_artifact: Artifact, fill: Any, tmp_path: Path, name: str) -> None:
    copy = shutil.copytree(mini_artifact.path, tmp_path / name)
    assert pipeline(None, copy, variant="fp32")(TEXT) == fill(TEXT)
    assert pipeline(None, os.fspath(copy), variant="fp32")(TEXT) == fill(TEXT)


def test_relative_path_survives_a_change_of_folder(
    mini_artifact: Artifact, fill: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(mini_artifact.path.parent)
    opened = Artifact(mini_artifact.path.name)
    monkeypatch.chdir(tmp_path)
    opened.verify()
    assert pipeline(None, opened, variant="fp32")(TEXT) == fill(TEXT)


def test_read_only_folder_is_left_as_it_was(broken_artifact: Path, fill: Any) -> None:
    paths = sorted(broken_artifact.rglob("*"))
    before = [path.stat().st_mtime_ns for path in (broken_artifact, *paths)]
    for path in (*paths, broken_artifact):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        Artifact(broken_artifact).verify()
        assert pipeline(None, broken_artifact, variant="fp32")(TEXT) == fill(TEXT)
        assert sorted(broken_artifact.rglob("*")) == paths
        assert [path.stat().st_mtime_ns for path in (broken_artifact, *paths)] == before
    finally:
        broken_artifact.chmod(0o755)
        (broken_artifact / "onnx").chmod(0o755)


def test_small_build_opens(make_checkpoint: Checkpoint, tmp_path: Path) -> None:
    built = build(make_checkpoint(), tmp_path / "small", variants=["int8"])
    assert built.variants == ("int8",)
    assert not (built.path / "onnx" / "model.onnx").exists()
    assert len(pipeline(None, built, top_k=2)(TEXT)) == 2


def test_repr_shows_what_it_is(mini_artifact: Artifact, fill: Any) -> None:
    assert repr(mini_artifact).startswith(f"Artifact({str(mini_artifact.path)!r}, task='fill-mask'")
    chosen = "variant='fp32', provider='cpu'"
    assert repr(fill) == f"FillMaskPipeline({mini_artifact!r}, {chosen})"
    assert isinstance(mini_artifact.manifest, Manifest)


@pytest.mark.parametrize("path", [None, ["a"], 3, b"/"], ids=repr)
def test_what_is_no_path_is_refused(path: Any) -> None:
    with pytest.raises(ArtifactError, match="is not a folder"):
        Artifact(path)


def test_bytes_of_a_variant_are_those_of_the_files_it_reads(mini_artifact: Artifact) -> None:
    names = ("onnx/served_int8.onnx", "onnx/model_quantized.onnx")
    sizes = [(mini_artifact.path / name).stat().st_size for name in names]
    assert mini_artifact.bytes_of("int8") == sum(sizes)


def test_hidden_file_is_not_overlooked(broken_artifact: Path) -> None:
    (broken_artifact / "onnx" / ".weights.bin").write_bytes(b"x")
    with pytest.raises(ArtifactError, match=r"does not list: onnx/.weights.bin"):
        Artifact(broken_artifact).verify()
