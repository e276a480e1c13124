"""Engines are kept apart by what they depend on, closed to others, and built again when changed."""

from __future__ import annotations

import json
import logging
import os
import stat
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from distilroberta.runtime import ProviderError
from distilroberta.runtime.execution import engine_cache, gpu
from distilroberta.runtime.execution.engine_cache import EngineCache, open_cache
from distilroberta.runtime.execution.graph_files import GraphFiles
from distilroberta.runtime.execution.provider_options import TensorRTOptions

KEY = {"graph": "ab12", "gpu": "NVIDIA T4"}


def engine(cache: EngineCache, content: bytes = b"engine") -> Path:
    path = cache.folder / "graph_sm75.engine"
    path.write_bytes(content)
    return path


def opened(root: Path, key: dict[str, str] = KEY) -> EngineCache:
    cache = open_cache(root, key)
    assert cache is not None
    return cache


def test_folder_is_closed_to_others(tmp_path: Path) -> None:
    folder = opened(tmp_path / "new" / "cache").folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert opened(tmp_path / "new" / "cache").folder == folder


@pytest.mark.parametrize("field", ["graph", "gpu", "onnxruntime"])
def test_another_key_is_another_folder(tmp_path: Path, field: str) -> None:
    assert opened(tmp_path).folder != opened(tmp_path, {**KEY, field: "other"}).folder


def test_key_holds_all_that_an_engine_depends_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = tmp_path / "graph.onnx"
    graph.write_bytes(b"graph")
    found = {"gpu": gpu.Gpu("NVIDIA T4", "7.5"), "tensorrt": "101401", "digest": "00"}
    monkeypatch.setattr(gpu, "describe", lambda device_id: found["gpu"])
    monkeypatch.setattr(gpu, "tensorrt_version", lambda: found["tensorrt"])
    options = TensorRTOptions(cache_folder=tmp_path / "cache")

    def folder() -> Any:
        cache = engine_cache.of(GraphFiles({graph: str(found["digest"])}), options)
        return None if cache is None else cache.folder

    seen = {folder()}
    for name, other in [
        ("gpu", gpu.Gpu("NVIDIA T4", "8.0")),
        ("gpu", gpu.Gpu("NVIDIA L4", "7.5")),
        ("tensorrt", "101500"),
        ("digest", "11"),
    ]:
        before, found[name] = found[name], other
        seen.add(folder())
        found[name] = before
    monkeypatch.setattr(onnxruntime, "__version__", "1.99.0")
    seen.add(folder())
    assert len(seen) == 6


def test_what_was_recorded_stays(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = opened(tmp_path)
    path = engine(cache)
    cache.record()
    cache.record()
    with caplog.at_level(logging.WARNING):
        opened(tmp_path).discard_changed()
    assert path.read_bytes() == b"engine"
    assert caplog.messages == []


@pytest.mark.parametrize("content", [b"", b"engina", b"engine and more"])
def test_what_was_changed_goes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    cache = opened(tmp_path)
    path = engine(cache)
    cache.record()
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        cache.discard_changed()
    assert not path.exists()
    assert "is not as it was written: it is built again" in caplog.text


@pytest.mark.parametrize("target", ["there", "gone", "folder"])
def test_links_go(tmp_path: Path, target: str) -> None:
    cache = opened(tmp_path / "cache")
    elsewhere = tmp_path / "elsewhere"
    if target == "folder":
        elsewhere.mkdir()
    elif target == "there":
        elsewhere.write_bytes(b"engine")
    path = engine(cache)
    cache.record()
    path.unlink()
    path.symlink_to(elsewhere)
    cache.discard_changed()
    assert not path.is_symlink()
    assert elsewhere.exists() is (target != "gone")


def test_link_is_not_recorded(tmp_path: Path) -> None:
    cache = opened(tmp_path / "cache")
    (tmp_path / "elsewhere").write_bytes(b"engine")
    (cache.folder / "link.engine").symlink_to(tmp_path / "elsewhere")
    engine(cache)
    cache.record()
    assert list(json.loads((cache.folder / "sha256.json").read_text())) == ["graph_sm75.engine"]


def test_folder_that_can_not_be_named(tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match=r"can't be kept: .*surrogates not allowed"):
        open_cache(tmp_path / "\ud800", KEY)


@pytest.mark.parametrize("record", [None, b"", b"[]", b"\xff", b'{"graph_sm75.engine": 5}'])
def test_without_a_record_nothing_is_trusted(tmp_path: Path, record: bytes | None) -> None:
    cache = opened(tmp_path)
    path = engine(cache)
    if record is not None:
        (cache.folder / "sha256.json").write_bytes(record)
    cache.discard_changed()
    assert not path.exists()


def test_clear(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    path = engine(cache)
    assert cache.clear()
    assert not path.exists()
    assert not cache.clear()


def test_folder_open_to_others_is_refused(tmp_path: Path) -> None:
    opened(tmp_path).folder.chmod(0o755)
    with pytest.raises(ProviderError, match=r"open to others .*; choose another cache_folder"):
        open_cache(tmp_path, KEY)


def test_link_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    folder = opened(tmp_path).folder
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ProviderError, match="is not a folder of its own"):
        open_cache(tmp_path, KEY)


def test_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(tmp_path)
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(ProviderError, match="belongs to another user"):
        open_cache(tmp_path, KEY)


def test_given_folder_that_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ProviderError, match=r"engines of TensorRT can't be kept: .*cache=False"):
        open_cache(tmp_path / "file" / "cache", KEY)


@pytest.mark.parametrize("home", ["no home", "file in its place"])
def test_user_without_a_folder_for_caches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, home: str
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    if home == "no home":

        def none() -> Path:
            raise RuntimeError("Could not determine home directory.")

        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setattr(Path, "home", none)
    with caplog.at_level(logging.WARNING):
        assert open_cache(None, KEY) is None
    assert "engines of TensorRT can't be kept" in caplog.text
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_folder_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cache = open_cache(None, KEY)
    assert cache is not None
    assert cache.folder.parent == tmp_path / "distilroberta-onnx"


def test_relative_folder_for_caches_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    cache = open_cache(None, KEY)
    assert cache is not None
    assert cache.folder.parent == tmp_path / ".cache" / "distilroberta-onnx"
