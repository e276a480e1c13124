"""Find a checkpoint: a folder, or a repository of the model hub at a revision."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distilroberta.export.errors import HubError
from distilroberta.runtime import layout
from distilroberta.runtime.digest import sha256_of, sha256_of_all
from distilroberta.runtime.errors import CheckpointError

WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"
TOKENIZER_FILES = (
    layout.TOKENIZER,
    layout.TOKENIZER_CONFIG,
    layout.SPECIAL_TOKENS,
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
)
# Shards are named model-00001-of-00002.safetensors.
_FETCHED_WEIGHTS = (WEIGHTS, WEIGHTS_INDEX, "model-*.safetensors")
_FETCHED = (layout.CONFIG, layout.MODEL_CARD, *_FETCHED_WEIGHTS, *TOKENIZER_FILES)
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
# owner/name or name, as the hub allows them, and a branch, tag or commit behind an @.
_HUB_ID = re.compile(r"(?P<id>[\w.-]+(/[\w.-]+)?)(@(?P<revision>[\w./-]+))?")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on the disk.

    `name` is the hub id or the folder's own name, never a path. `revision` is the hub's commit,
    None for a folder. `sha256` is that of the files a build reads.
    """

    folder: Path
    name: str
    revision: str | None
    config: dict[str, Any]
    sha256: str


def resolve(source: str) -> Checkpoint:
    """Find a checkpoint and check that it is a RoBERTa that can be read safely.

    Args:
        source: a folder, or a hub id with an optional `@revision`. A folder comes first.

    Raises:
        CheckpointError: there is no such folder and it is no hub id; it is not a RoBERTa with
            absolute positions; it has no tokenizer, or no safetensors.
        HubError: the hub does not have it, or can't be reached.
    """
    expanded = os.path.expanduser(source)
    folder = Path(expanded)
    if os.path.isdir(expanded):  # which is False, too, for what can't be a path
        return _checked(folder, folder.resolve().name, None)
    if os.path.exists(expanded):
        raise CheckpointError(f"{source} is a file: give the folder that holds it")
    matched = _HUB_ID.fullmatch(source)
    if matched is None or source.startswith("."):
        raise CheckpointError(
            f"{source} is not a folder, nor a hub id (owner/name or owner/name@revision)"
        )
    name, revision = matched["id"], matched["revision"]
    fetched = _fetch(name, revision)
    return _checked(fetched, name, fetched.name)


def _fetch(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )
    from huggingface_hub.utils.tqdm import tqdm

    class Progress(tqdm):
        """Shown on a terminal alone, as the bars of the files are."""

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **{**options, "disable": None})

    try:
        fetched = snapshot_download(
            name, revision=revision, allow_patterns=list(_FETCHED), tqdm_class=Progress
        )
        return Path(fetched)
    except HFValidationError as error:
        raise CheckpointError(f"{name} is not a folder, nor a hub id: {error}") from error
    except GatedRepoError as error:
        raise HubError(f"{name} asks for access: accept its terms on the hub and log in") from error
    except RepositoryNotFoundError as error:
        raise HubError(
            f"{name} is not a folder here, and the hub has no such model (or it is private): "
            "check the spelling, or log in"
        ) from error
    except RevisionNotFoundError as error:
        raise HubError(f"{name} has no revision {revision} on the hub") from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise HubError(
            f"{name} is not a folder here, and it could not be fetched from the hub: "
            f"{_first_line(error)}"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _checked(folder: Path, name: str, revision: str | None) -> Checkpoint:
    config = _config(folder, name)
    kind = config.get("model_type")
    if kind != "roberta":
        raise CheckpointError(
            f"{name} is not a RoBERTa: config.json says model_type {kind!r}; distilroberta-onnx "
            "builds DistilRoBERTa, RoBERTa and what is fine-tuned from them"
        )
    positions = config.get("position_embedding_type", "absolute")
    if positions != "absolute":
        raise CheckpointError(f"{name} has {positions} positions; only absolute ones can be built")
    if config.get("is_decoder"):
        raise CheckpointError(f"{name} is a decoder (is_decoder); only encoders can be built")
    _check_tokenizer(folder, name)
    weights = _weights(folder, name)
    read = [layout.CONFIG, *weights, *TOKENIZER_FILES]
    digests = {file: sha256_of(folder / file) for file in read if (folder / file).is_file()}
    return Checkpoint(folder, name, revision, config, sha256_of_all(digests))


def _config(folder: Path, name: str) -> dict[str, Any]:
    path = folder / layout.CONFIG
    try:
        config = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise CheckpointError(
            f"{name} has no {layout.CONFIG}: it is not a checkpoint folder"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} can't be read as JSON: {error}") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{path} is not a JSON object")
    return config


def _check_tokenizer(folder: Path, name: str) -> None:
    whole = (folder / layout.TOKENIZER).is_file()
    parts = all((folder / file).is_file() for file in ("vocab.json", "merges.txt"))
    if not (whole or parts):
        raise CheckpointError(
            f"{name} has no tokenizer: it needs {layout.TOKENIZER}, or vocab.json and merges.txt; "
            "save it there with tokenizer.save_pretrained(folder)"
        )


def _weights(folder: Path, name: str) -> list[str]:
    if (folder / WEIGHTS).is_file():
        return [WEIGHTS]
    index = folder / WEIGHTS_INDEX
    if index.is_file():
        try:
            shards = sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))
        except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
            raise CheckpointError(f"{index} can't be read: {error!r}") from error
        for shard in shards:
            _check_shard(folder, name, shard)
        return [WEIGHTS_INDEX, *shards]
    pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
    has = f"only {pickles[0]}, a pickle, which can run code when it is read" if pickles else ""
    has = has or "no weights in safetensors were found there"
    raise CheckpointError(
        f"{name} has no {WEIGHTS} ({has}): load it where you trust it, and save it with "
        "model.save_pretrained(folder, safe_serialization=True)"
    )


def _check_shard(folder: Path, name: str, shard: Any) -> None:
    # transformers would read a pickle that the index names, and a file outside the folder.
    plain = isinstance(shard, str) and Path(shard).name == shard
    if not (plain and shard.endswith(".safetensors")):
        raise CheckpointError(
            f"{folder / WEIGHTS_INDEX} names {shard!r}, which is no safetensors file of the folder"
        )
    if not (folder / shard).is_file():
        raise CheckpointError(f"{name} lacks {shard}, which {WEIGHTS_INDEX} names")
