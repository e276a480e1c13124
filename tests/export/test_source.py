"""Which folders and hub ids are taken for a checkpoint, and what is said of the others."""

from __future__ import annotations

import hashlib
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from transformers import RobertaForMaskedLM

from distilroberta.export import HubError
from distilroberta.export.source import resolve
from distilroberta.runtime.errors import CheckpointError

Edit = Callable[[Path, str, Callable[[dict[str, Any]], Any]], None]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Canary:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.fixture
def sharded(masker: Path, tmp_path: Path) -> Path:
    """The fill-mask checkpoint in several safetensors files."""
    folder = Path(shutil.copytree(masker, tmp_path / "sharded"))
    (folder / "model.safetensors").unlink()
    model = RobertaForMaskedLM.from_pretrained(masker)
    model.save_pretrained(folder, max_shard_size="100KB")
    assert len(list(folder.glob("*.safetensors"))) > 2
    return folder


@pytest.fixture
def asked_of_hub(masker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Put a hub that has everything in the place of the real one; the list fills with calls."""
    asked: list[Any] = []

    def snapshot_download(name: str, revision: str | None, **_: Any) -> str:
        asked.append((name, revision))
        return str(shutil.copytree(masker, tmp_path / "snapshots" / COMMIT))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return asked


def test_folder_is_named_without_its_path(masker_copy: Path) -> None:
    found = resolve(str(masker_copy))
    assert (found.folder, found.name, found.revision) == (masker_copy, "masker", None)
    assert found.config["architectures"] == ["RobertaForMaskedLM"]


def test_current_folder_has_a_name(masker_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(masker_copy)
    assert resolve(".").name == "masker"


def test_home_folder_is_expanded(masker_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(masker_copy.parent))
    assert resolve("~/masker").name == "masker"


def test_folder_comes_before_a_hub_id(
    masker_copy: Path, monkeypatch: pytest.MonkeyPatch, asked_of_hub: list[Any]
) -> None:
    shutil.copytree(masker_copy, masker_copy.parent / "acme" / "mini")
    monkeypatch.chdir(masker_copy.parent)
    assert resolve("acme/mini").name == "mini"
    assert asked_of_hub == []


@pytest.mark.parametrize(
    ("source", "name", "revision"),
    [
        ("acme/mini", "acme/mini", None),
        ("roberta-base", "roberta-base", None),
        ("acme/mini@v1.0", "acme/mini", "v1.0"),
        ("acme/mini@refs/pr/3", "acme/mini", "refs/pr/3"),
        (f"acme/mini@{COMMIT}", "acme/mini", COMMIT),
        ("ac.me_2/mini-3@main", "ac.me_2/mini-3", "main"),
    ],
)
def test_hub_id_and_revision(
    asked_of_hub: list[Any], source: str, name: str, revision: str | None
) -> None:
    found = resolve(source)
    assert asked_of_hub == [(name, revision)]
    assert (found.name, found.revision) == (name, COMMIT)


@pytest.mark.parametrize(
    "source",
    [
        *("no/such/folder", "./mini", "../mini", "/no/folder", "", "a b", "acme/mini@", "@main"),
        *(
            "acme/mini@a@b",
            "https://example.com/acme/mini",
            "a\0b",
            "./" + "y" * 5000,
            "~no user/x",
        ),
    ],
)
def test_neither_folder_nor_hub_id(asked_of_hub: list[Any], source: str) -> None:
    with pytest.raises(CheckpointError, match=r"is not a folder, nor a hub id") as raised:
        resolve(source)
    assert raised.value.exit_code == 2
    assert asked_of_hub == []


@pytest.mark.parametrize("name", ["acme/-mini", "a--b/c", "acme/mini.git", "x" * 5000])
def test_id_the_hub_does_not_allow(name: str) -> None:
    with pytest.raises(CheckpointError, match="is not a folder, nor a hub id"):
        resolve(name)


def test_file_is_not_a_folder(masker: Path) -> None:
    with pytest.raises(CheckpointError, match=r"is a file: give the folder that holds it"):
        resolve(str(masker / "model.safetensors"))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ConnectionError("no route\nto host"), "could not be fetched from the hub: no route$"),
        (OSError("No space left"), "could not be fetched from the hub: No space left"),
        (TimeoutError(), "could not be fetched from the hub: TimeoutError"),
    ],
)
def test_hub_that_fails_is_not_a_wrong_input(
    monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    def snapshot_download(*_: Any, **__: Any) -> str:
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    with pytest.raises(HubError, match=message) as raised:
        resolve("acme/mini")
    assert raised.value.exit_code == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "bert"}, "is not a RoBERTa: config.json says model_type 'bert'"),
        ({"model_type": None}, "is not a RoBERTa: config.json says model_type None"),
        ({"position_embedding_type": "relative_key"}, "has relative_key positions; only absolute"),
        ({"is_decoder": True}, "is a decoder .*; only encoders can be built"),
    ],
    ids=["bert", "no type", "relative positions", "decoder"],
)
def test_model_that_can_not_be_built(
    masker_copy: Path, edit_json: Edit, changes: dict[str, Any], message: str
) -> None:
    edit_json(masker_copy, "config.json", lambda config: config.update(changes))
    with pytest.raises(CheckpointError, match=f"^masker {message}"):
        resolve(str(masker_copy))


def test_config_is_missing(masker_copy: Path) -> None:
    (masker_copy / "config.json").unlink()
    with pytest.raises(
        CheckpointError, match=r"^masker has no config\.json: it is not a checkpoint"
    ):
        resolve(str(masker_copy))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "can't be read as JSON", id="empty"),
        pytest.param(b'{"model_type": "rob', "can't be read as JSON", id="cut off"),
        pytest.param(b"\xff\xfe{}", "can't be read as JSON", id="not UTF-8"),
        pytest.param(b"[" * 100_000, "can't be read as JSON", id="nested"),
        pytest.param(b"[]", "is not a JSON object", id="list"),
        pytest.param(b"null", "is not a JSON object", id="null"),
    ],
)
def test_config_is_broken(masker_copy: Path, content: bytes, message: str) -> None:
    (masker_copy / "config.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"config\.json {message}"):
        resolve(str(masker_copy))


def test_tokenizer_is_missing(masker_copy: Path) -> None:
    (masker_copy / "tokenizer.json").unlink()
    (masker_copy / "merges.txt").unlink(missing_ok=True)
    with pytest.raises(CheckpointError, match=r"has no tokenizer: it needs tokenizer\.json, or"):
        resolve(str(masker_copy))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pth", "model.ckpt"])
def test_pickle_is_refused_and_never_read(masker_copy: Path, tmp_path: Path, name: str) -> None:
    canary = tmp_path / "canary"
    (masker_copy / "model.safetensors").unlink()
    (masker_copy / name).write_bytes(pickle.dumps(Canary(canary)))
    with pytest.raises(CheckpointError, match=rf"only {name}, a pickle.*safe_serialization=True"):
        resolve(str(masker_copy))
    assert not canary.exists()
    pickle.loads((masker_copy / name).read_bytes())  # noqa: S301
    assert canary.exists(), "the canary works"


def test_weights_are_missing(masker_copy: Path) -> None:
    (masker_copy / "model.safetensors").unlink()
    with pytest.raises(
        CheckpointError, match=r"^masker has no model\.safetensors \(no weights in .*\): load"
    ):
        resolve(str(masker_copy))


def test_pickle_beside_safetensors_is_never_read(
    masker_copy: Path, tmp_path: Path, load_folder: Callable[[Path], Any]
) -> None:
    (masker_copy / "pytorch_model.bin").write_bytes(pickle.dumps(Canary(tmp_path / "canary")))
    load_folder(masker_copy)
    assert not (tmp_path / "canary").exists()


def test_shards_are_loaded(sharded: Path, masker: Path, load_folder: Callable[[Path], Any]) -> None:
    found, whole = load_folder(sharded).model, load_folder(masker).model
    for name, weight in whole.named_parameters():
        assert torch.equal(found.get_parameter(name), weight), name


def test_missing_shard_is_refused(sharded: Path) -> None:
    shard = sorted(sharded.glob("*.safetensors"))[1]
    shard.unlink()
    message = rf"^sharded lacks {shard.name}, which model\.safetensors\.index\.json names"
    with pytest.raises(CheckpointError, match=message):
        resolve(str(sharded))


@pytest.mark.parametrize(
    "shard", ["../outside.safetensors", "/outside.safetensors", "pytorch_model.bin", "", 5, None]
)
def test_shard_that_is_no_safetensors_of_the_folder_is_refused(
    sharded: Path, edit_json: Edit, shard: Any
) -> None:
    """Nothing but safetensors is read, and nothing from elsewhere."""
    for name in ("pytorch_model.bin", "../outside.safetensors"):
        (sharded / name).write_bytes(b"")
    index = "model.safetensors.index.json"
    edit_json(sharded, index, lambda tree: tree["weight_map"].update({"lm_head.bias": shard}))
    with pytest.raises(CheckpointError, match=r"index\.json (can't be read|names .*, which is no)"):
        resolve(str(sharded))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"weight_map": 5}', "[" * 100_000])
def test_broken_index_of_shards_is_refused(sharded: Path, content: str) -> None:
    (sharded / "model.safetensors.index.json").write_text(content, "utf-8")
    with pytest.raises(CheckpointError, match=r"index\.json can't be read"):
        resolve(str(sharded))


def test_digest_changes_with_any_file_that_is_read(sharded: Path) -> None:
    digests = [resolve(str(sharded)).sha256]
    paths = sorted(path for path in sharded.iterdir() if path.suffix != ".json")
    paths += [sharded / name for name in ("config.json", "tokenizer.json", "tokenizer_config.json")]
    paths += [sharded / "special_tokens_map.json", sharded / "model.safetensors.index.json"]
    for path in paths:
        content = path.read_bytes()
        path.write_bytes(content + b" ")
        digests.append(resolve(str(sharded)).sha256)
        path.write_bytes(content)
    assert len(set(digests)) == len(paths) + 1
    assert resolve(str(sharded)).sha256 == digests[0]


def test_digest_does_not_change_with_other_files_or_the_place(
    masker_copy: Path, tmp_path: Path
) -> None:
    before = resolve(str(masker_copy)).sha256
    for name in ("README.md", "optimizer.pt", "model.onnx"):
        (masker_copy / name).write_bytes(b"x")
    moved = masker_copy.rename(tmp_path / "elsewhere")
    assert resolve(str(moved)).sha256 == before


def test_digest_can_be_recomputed_with_sha256sum(masker_copy: Path) -> None:
    """From `sha256sum * | sha256sum` in the folder, where nothing but the checkpoint lies."""
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(masker_copy.iterdir())
    ]
    assert resolve(str(masker_copy)).sha256 == hashlib.sha256("".join(lines).encode()).hexdigest()
