"""An ONNX Runtime session on one graph of an artifact."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from distilroberta.runtime import provider as providers
from distilroberta.runtime.errors import ArtifactError, InputError, ProviderError
from distilroberta.runtime.manifest import TensorSpec, Variant

_DTYPES = {"tensor(int64)": "int64", "tensor(float)": "float32", "tensor(float16)": "float16"}
_ERRORS_ONLY = 3
# What onnxruntime raises for a file it can't use, on whatever provider.
_GRAPH_ERRORS = frozenset({"InvalidGraph", "InvalidProtobuf", "ModelLoadCanceled", "NoSuchFile"})


class Session:
    """One loaded graph. `run` may be called from many threads at once.

    `variant` is the name of what it loaded, `provider` the execution provider that runs it:
    `cpu`, `cuda` or `tensorrt`.
    """

    def __init__(
        self, variant: str, graph: Path, spec: Variant, provider: str, threads: int | None
    ) -> None:
        """Load `graph` on a provider by name, and check it against its manifest entry.

        Raises:
            ArtifactError: onnxruntime can't load the graph, or its inputs or outputs are not those
                of the manifest.
            ProviderError: the provider did not start.
            InputError: `threads` is not a positive number.
        """
        whole = isinstance(threads, int) and not isinstance(threads, bool)
        if threads is not None and (not whole or threads < 1):
            raise InputError(f"threads must be a whole number from 1 up, found {threads!r}")
        self._graph = graph
        self._spec = spec
        self.variant, self.provider = variant, provider
        self._session = self._start(provider, threads or usable_cpus())
        check_signature(graph, self._session.get_inputs(), spec.inputs, "input")
        check_signature(graph, self._session.get_outputs(), spec.outputs, "output")
        self._inputs = frozenset(tensor.name for tensor in spec.inputs)

    def _start(self, provider: str, threads: int) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = _ERRORS_ONLY
        # Packing the weights for the machine's kernels is half of the load; one thread a weight.
        options.add_session_config_entry("session.prepack.enable_parallel", "1")
        session = self._load(options, provider)
        providers.check_started(provider, session.get_providers())
        return session

    def _load(
        self, options: onnxruntime.SessionOptions, provider: str
    ) -> onnxruntime.InferenceSession:
        names = list(providers.PROVIDERS[provider])
        try:
            # Without enable_fallback=0 it prints to stdout, and tries again on the CPU.
            return onnxruntime.InferenceSession(
                str(self._graph), options, providers=names, enable_fallback=0
            )
        except Exception as error:  # onnxruntime's own types share no base but this
            said = " ".join(str(error).split())
            if provider != "cpu" and type(error).__name__ not in _GRAPH_ERRORS:
                raise ProviderError(
                    f"provider {provider} did not start: {said}; check the driver and the CUDA "
                    "libraries, or choose provider cpu"
                ) from error
            raise ArtifactError(
                f"{self._graph}: onnxruntime {onnxruntime.__version__} can't load it (it needs "
                f"{self._spec.onnxruntime} or newer): {said}"
            ) from error

    @property
    def classes(self) -> int | str | None:
        """The width of a row of `logits`: the size of the vocabulary, or the number of labels.

        None for question-answering, whose outputs have other names.
        """
        logits = (output for output in self._spec.outputs if output.name == "logits")
        return next((output.shape[-1] for output in logits), None)

    def run(self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]) -> Any:
        """Run the graph on token ids and a mask of real tokens, both int64 (batch, length).

        Returns:
            The logits, float32: (masks, vocabulary) for fill-mask, in reading order over the
            batch; (batch, labels) for text-classification; (batch, length, labels) for
            token-classification. A graph with several outputs gives a tuple of them, in the
            order of the manifest: for question-answering start logits and end logits, both
            (batch, length). Where a position of the batch is padding, its values mean nothing.
        """
        feeds = {"input_ids": input_ids, "attention_mask": attention_mask}
        needed = {name: array for name, array in feeds.items() if name in self._inputs}
        outputs = self._session.run(None, needed)
        return outputs[0] if len(outputs) == 1 else tuple(outputs)


def usable_cpus() -> int:
    """Return the number of CPUs this process may run on, which can be fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


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
