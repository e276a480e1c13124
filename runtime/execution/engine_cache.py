"""Where TensorRT's engines are kept, and when they are no longer to be trusted.

onnxruntime names an engine after the graph's structure and not after its weights, and it loads
whatever file has that name. So engines lie in a folder of their own for each graph, release and
GPU. Beside them lie their SHA-256: a file that is not as it was recorded is removed before
onnxruntime can load it, and built again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import stat
import sys
from pathlib import Path

from distilroberta.runtime.digest import sha256_of
from distilroberta.runtime.errors import ProviderError
from distilroberta.runtime.execution import gpu
from distilroberta.runtime.execution.graph_files import GraphFiles
from distilroberta.runtime.execution.ort import onnxruntime
from distilroberta.runtime.execution.provider_options import TensorRTOptions

_LOG = logging.getLogger(__name__)
_RECORD = "sha256.json"
_APP = "distilroberta-onnx"
_PRIVATE = 0o700
_OF_OTHERS = 0o077


class EngineCache:
    """A folder of engines for one graph, on one GPU, with one set of releases."""

    def __init__(self, folder: Path) -> None:
        """Take a folder that exists and is the user's own."""
        self.folder = folder

    def discard_changed(self) -> None:
        """Remove links, and the files that are not as they were when they were recorded."""
        recorded = self._recorded()
        for path in self._files():
            if path.is_symlink() or recorded.get(path.name) != sha256_of(path):
                _LOG.warning("%s is not as it was written: it is built again", path)
                path.unlink(missing_ok=True)

    def record(self) -> None:
        """Record the files that are there now. A folder that can't be written is left as it is."""
        files = [path for path in self._files() if not path.is_symlink()]
        digests = {path.name: sha256_of(path) for path in files}
        if digests == self._recorded():
            return
        partial = self.folder / f"{_RECORD}.{os.getpid()}"
        try:
            partial.write_text(json.dumps(digests), "utf-8")
            partial.replace(self.folder / _RECORD)
        except OSError as error:
            _LOG.warning("%s can't be written: %s", self.folder, error)

    def clear(self) -> bool:
        """Remove all engines; return if there were any."""
        files = self._files()
        for path in files:
            path.unlink(missing_ok=True)
        return bool(files)

    def _files(self) -> list[Path]:
        listed = (path for path in self.folder.iterdir() if not path.name.startswith(_RECORD))
        return [path for path in listed if path.is_symlink() or path.is_file()]

    def _recorded(self) -> dict[str, str]:
        try:
            found = json.loads((self.folder / _RECORD).read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


def of(files: GraphFiles, options: TensorRTOptions) -> EngineCache | None:
    """Open the folder for a graph's engines on a GPU.

    Returns:
        The cache, or None where the user has no folder for it that can be used: the log says why.

    Raises:
        ProviderError: there is no such GPU, no TensorRT, or a `cache_folder` that can't be used.
        ArtifactError: a file of the graph can't be read.
    """
    found = gpu.describe(options.device_id)
    key = {
        "graph": files.digest(),
        "onnxruntime": onnxruntime.__version__,
        "tensorrt": gpu.tensorrt_version(),
        "gpu": found.name,
        "capability": found.capability,
    }
    return open_cache(options.cache_folder, key)


def open_cache(root: str | os.PathLike[str] | None, key: dict[str, str]) -> EngineCache | None:
    """Open the folder for what `key` describes, and make it where it is not there.

    Args:
        root: the folder to keep caches in; None, the user's.
        key: everything an engine depends on: the graph's digest, releases, the GPU.

    Returns:
        The cache, or None where the user has no folder for it that can be used: the log says why.

    Raises:
        ProviderError: `root` was given and can't be used.
    """
    try:
        parent = Path(root) if root is not None else _user_cache()
        return EngineCache(_private(parent / _name(key)))
    # ValueError: a name that the system's encoding of file names lacks.
    except (OSError, RuntimeError, ValueError) as error:
        problem = f"engines of TensorRT can't be kept: {error}"
        if root is not None:
            raise ProviderError(
                f"{problem}; choose another cache_folder, or cache=False"
            ) from error
        _LOG.warning("%s; each start builds them, give a cache_folder", problem)
        return None


def _name(key: dict[str, str]) -> str:
    text = json.dumps(key, sort_keys=True)
    return f"tensorrt-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def _user_cache() -> Path:
    """Return this user's folder for caches, as the platform has it.

    Raises:
        RuntimeError: the user has no home.
    """
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA", "")
        default = Path.home() / "AppData" / "Local"
    else:
        base = os.environ.get("XDG_CACHE_HOME", "")
        default = Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    # A relative path is to be ignored: XDG Base Directory Specification.
    return (Path(base) if os.path.isabs(base) else default) / _APP


def _private(folder: Path) -> Path:
    folder.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise OSError(f"{folder} is not a folder of its own")
    if hasattr(os, "getuid") and (
        found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & _OF_OTHERS
    ):
        raise OSError(f"{folder} belongs to another user or is open to others (chmod 700)")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OSError(f"{folder} can't be written")
    return folder
