"""Machines with GPUs, as far as onnxruntime and the driver show them, and processes that fork."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnxruntime
import pytest

from distilroberta.runtime.execution.provider_options import CPU, CUDA, TENSORRT

SECONDS = 20
REAL_SESSION = onnxruntime.InferenceSession
NAMES = [b"NVIDIA T4", b"NVIDIA H200"]
CAPABILITIES = [(7, 5), (9, 0)]

# Runs a function in a fork, which ends at once; fails if it raises or takes 20 seconds.
InChild = Callable[[Callable[[], None]], None]


@pytest.fixture
def built_with(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let onnxruntime claim that it is built with these providers."""

    def claim(*names: str) -> None:
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: list(names))

    return claim


class Gpus:
    """Sessions that say they run where they were asked to run; they run on the CPU.

    `asked` and `settings` are those of every session that was opened, `placed` the operators that
    each provider then has, `failures` what the next ones raise instead. `built` are the engines
    that had to be built, as TensorRT does it where none has the name that it looks for.
    """

    def __init__(self) -> None:
        self.asked: list[list[tuple[str, dict[str, str]]]] = []
        self.settings: list[Any] = []
        self.placed: dict[str, list[str]] = {CUDA: ["MatMul"], TENSORRT: ["MatMul"]}
        self.failures: list[Exception] = []
        self.built: list[Path] = []

    def __call__(self, path: str, settings: Any, providers: Any, enable_fallback: int) -> Any:
        assert enable_fallback == 0
        self.asked.append([(one, {}) if isinstance(one, str) else one for one in providers])
        self.settings.append(settings)
        if self.failures:
            raise self.failures.pop(0)
        listed = dict(self.asked[-1])
        folder = listed.get(TENSORRT, {}).get("trt_engine_cache_path")
        if folder is not None and not (engine := Path(folder) / "graph.engine").exists():
            engine.write_bytes(b"engine")
            self.built.append(engine)
        return GpuSession(REAL_SESSION(path, providers=[CPU]), listed, self.placed)


class GpuSession:
    def __init__(self, real: Any, listed: dict[str, dict[str, str]], placed: Any) -> None:
        self._real, self._listed, self._placed = real, listed, placed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def get_providers(self) -> list[str]:
        return [*self._listed, CPU]

    def get_provider_options(self) -> dict[str, dict[str, str]]:
        return self._listed

    def get_provider_graph_assignment_info(self) -> list[Any]:
        def node(operator: str) -> Any:
            return SimpleNamespace(op_type=operator)

        return [
            SimpleNamespace(ep_name=name, get_nodes=lambda found=found: list(map(node, found)))
            for name, found in self._placed.items()
        ]


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch, built_with: Any) -> Gpus:
    """Let onnxruntime open sessions on GPUs."""
    made = Gpus()
    built_with(TENSORRT, CUDA, CPU)
    monkeypatch.setattr(onnxruntime, "InferenceSession", made)
    return made


class Driver:
    """The functions of libcuda that are used, on a machine with two GPUs."""

    count = 2
    init_code = 0

    def __init__(self) -> None:
        self.cuInit = self._named("cuInit", lambda flags: self.init_code)
        self.cuDeviceGetCount = self._named("cuDeviceGetCount", self._count)
        self.cuDeviceGet = self._named("cuDeviceGet", self._device)
        self.cuDeviceGetName = self._named("cuDeviceGetName", self._name)
        self.cuDeviceGetAttribute = self._named("cuDeviceGetAttribute", self._attribute)

    @staticmethod
    def _named(name: str, function: Any) -> Any:
        function_of = lambda *arguments: function(*arguments)  # noqa: E731
        function_of.__name__ = name
        return function_of

    def _count(self, count: Any) -> int:
        count._obj.value = self.count
        return 0

    def _device(self, device: Any, ordinal: int) -> int:
        device._obj.value = ordinal
        return 0

    def _name(self, name: Any, size: int, device: Any) -> int:
        name.value = NAMES[device.value]
        return 0

    def _attribute(self, number: Any, attribute: int, device: Any) -> int:
        number._obj.value = CAPABILITIES[device.value][attribute - 75]
        return 0


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    """Let the system's loader find this driver, and every other library."""
    made = Driver()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: made)
    return made


@pytest.fixture
def gpu_libraries(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let onnxruntime bring its libraries for GPUs. They are none that the system can load."""
    folder = tmp_path / "onnxruntime" / "capi"
    folder.mkdir(parents=True)
    for name in ("cuda", "tensorrt"):
        (folder / f"libonnxruntime_providers_{name}.so").write_bytes(b"no library")
    monkeypatch.setattr(onnxruntime, "__file__", str(folder.parent / "__init__.py"))


@pytest.fixture(scope="session")
def in_child() -> InChild:
    """Run a function in a fork, which ends at once; fail if it raises or takes 20 seconds."""

    def run(do: Callable[[], None]) -> None:
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(SECONDS)
            try:
                do()
            except BaseException as error:
                sys.stderr.write(f"in the child: {type(error).__name__}: {error}\n")
                os._exit(1)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0

    return run


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home of somebody who did not turn onnxruntime's telemetry off."""
    for name in ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path
