"""Opening an onnxruntime session on a graph, for one provider, and checking what came of it."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distilroberta.runtime.errors import ArtifactError, ProviderError
from distilroberta.runtime.execution import node_placement, provider
from distilroberta.runtime.execution.graph_files import GraphFiles
from distilroberta.runtime.execution.ort import onnxruntime
from distilroberta.runtime.execution.provider_options import (
    CPU,
    CpuOptions,
    CudaOptions,
    Listed,
    ProviderOptions,
    TensorRTOptions,
)
from distilroberta.runtime.manifest import TensorSpec, Variant

_LOG = logging.getLogger(__name__)
_DTYPES = {"tensor(int64)": "int64", "tensor(float)": "float32", "tensor(float16)": "float16"}
_ERRORS_ONLY = 3
# What onnxruntime raises for a file it can't use, on whatever provider.
_GRAPH_ERRORS = frozenset({"InvalidGraph", "InvalidProtobuf", "ModelLoadCanceled", "NoSuchFile"})


@dataclass(frozen=True)
class Opener:
    """All that it takes to open a graph's session, and to open it again.

    `spec` is what the manifest says of the graph, `threads` how many compute one call on the CPU.
    """

    files: GraphFiles
    spec: Variant
    options: ProviderOptions
    threads: int

    def open(self) -> Any:
        """Open the graph on its provider.

        Returns:
            An `onnxruntime.InferenceSession`. It runs on the provider that was asked for, keeps
            which provider has which node, and has the manifest's inputs and outputs.

        Raises:
            ArtifactError: onnxruntime can't load the graph, or its inputs or outputs are not those
                of the manifest.
            ProviderError: the provider did not start, or not as asked.
        """
        if isinstance(self.options, CpuOptions):
            session = self._start([(CPU, {})])
        elif isinstance(self.options, CudaOptions):
            session = self._start([self.options.listed()])
        else:
            session = self._start_tensorrt(self.options)
        check_signature(self.files.graph, session.get_inputs(), self.spec.inputs, "input")
        check_signature(self.files.graph, session.get_outputs(), self.spec.outputs, "output")
        return session

    def _start_tensorrt(self, options: TensorRTOptions) -> Any:
        from distilroberta.runtime.execution import engine_cache

        try:
            cache = engine_cache.of(self.files, options) if options.cache else None
        except ProviderError as error:
            raise ProviderError(f"provider tensorrt did not start: {error}") from error
        folder = None if cache is None else str(cache.folder)
        listed = [
            options.listed([tensor.name for tensor in self.spec.inputs], folder),
            # Between TensorRT and the CPU: onnxruntime falls back along the list.
            CudaOptions(device_id=options.device_id).listed(),
        ]
        if cache is None:
            return self._start(listed)
        cache.discard_changed()
        try:
            session = self._start(listed)
        except ProviderError:
            if not cache.clear():
                raise
            _LOG.warning("TensorRT did not start with the engines in %s: building anew", folder)
            session = self._start(listed)
        cache.record()
        return session

    def _start(self, listed: list[Listed]) -> Any:
        session = self._load(listed)
        provider.check_started(self.options, session)
        if not isinstance(self.options, CpuOptions):
            node_placement.check(self.options, node_placement.of(session))
        return session

    def _load(self, listed: list[Listed]) -> Any:
        if not isinstance(self.options, CpuOptions):
            provider.find_libraries()
        try:
            # Without enable_fallback=0 it prints to stdout, and tries again on the CPU.
            return onnxruntime.InferenceSession(
                str(self.files.graph),
                self._settings(),
                # Explicitly, unless it is to be refused: then onnxruntime wants it unnamed.
                providers=listed if self._without_cpu or listed[0][0] == CPU else [*listed, CPU],
                enable_fallback=0,
            )
        except Exception as error:  # onnxruntime's own types share no base but this
            raise self._failure(error) from error

    @property
    def _without_cpu(self) -> bool:
        return not isinstance(self.options, CpuOptions) and self.options.cpu_nodes == "none"

    def _settings(self) -> onnxruntime.SessionOptions:
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = self.threads
        settings.log_severity_level = _ERRORS_ONLY
        entries = {
            # Packing the weights for the machine's kernels is half of the load; one thread a
            # weight.
            "session.prepack.enable_parallel": "1",
            "session.intra_op.allow_spinning": "0",
            node_placement.RECORD: "1",
        }
        if isinstance(self.options, CpuOptions):
            settings.enable_cpu_mem_arena = self.options.memory_arena
            entries["session.intra_op.allow_spinning"] = str(int(self.options.spinning))
        if self._without_cpu:
            entries["session.disable_cpu_ep_fallback"] = "1"
        for name, value in entries.items():
            settings.add_session_config_entry(name, value)
        return settings

    def _failure(self, error: Exception) -> ArtifactError | ProviderError:
        said = " ".join(str(error).split())
        if self.options.name != "cpu" and type(error).__name__ not in _GRAPH_ERRORS:
            return ProviderError(
                f"provider {self.options.name} did not start: {said}; "
                f"{provider.reason(self.options)}"
            )
        found, needed = onnxruntime.__version__, self.spec.onnxruntime
        cause = f" (it needs {needed} or newer)" if _release(found) < _release(needed) else ""
        return ArtifactError(
            f"{self.files.graph}: onnxruntime {found} can't load it{cause}: {said}"
        )


def _release(version: str) -> tuple[int, ...]:
    # As in PEP 440: 1.24 and 1.24.0 are one release; what follows the numbers is left out.
    numbers = re.split(r"[^\d.]", version, maxsplit=1)[0]
    return (*map(int, re.findall(r"\d+", numbers)), 0, 0, 0)[:3]


def check_signature(
    graph: Path, found: Sequence[Any], expected: Sequence[TensorSpec], kind: str
) -> None:
    """Check names, dtypes and shapes of a session's inputs or outputs against the manifest.

    Raises:
        ArtifactError: they differ.
    """
    got = [(one.name, _DTYPES.get(one.type, one.type), tuple(one.shape)) for one in found]
    want = [(one.name, one.dtype, one.shape) for one in expected]
    if got != want:
        raise ArtifactError(f"{graph}: {kind}s are {got}, the manifest says {want}")
