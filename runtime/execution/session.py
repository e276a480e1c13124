"""A session on one graph of an artifact, safe in threads, after a fork and to pickle."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from distilroberta.runtime import layout
from distilroberta.runtime.checks import whole
from distilroberta.runtime.errors import InputError, OutOfMemoryError, ProviderError
from distilroberta.runtime.execution import forked, node_placement
from distilroberta.runtime.execution.cpu_limit import usable_cpus
from distilroberta.runtime.execution.graph_calls import Call, calling
from distilroberta.runtime.execution.graph_files import GraphFiles
from distilroberta.runtime.execution.onnxruntime_session import Opener
from distilroberta.runtime.execution.provider import PROVIDERS, options_of
from distilroberta.runtime.execution.provider_options import ProviderOptions
from distilroberta.runtime.manifest import Variant

if TYPE_CHECKING:
    from distilroberta.runtime.artifact import Artifact
    from distilroberta.runtime.tasks.model_config import ModelConfig

# More than machines have CPUs is a slip, and onnxruntime hangs on a million of them.
_MOST_THREADS = 1024

# What onnxruntime says where memory is out; it has no type of its own for it.
_OUT_OF_MEMORY = ("Failed to allocate memory", "out of memory", "ALLOC_FAILED", "bad_alloc")


class Session:
    """One loaded graph. `run` may be called from many threads at once.

    In a process that was forked, the graph is loaded again at the first `run`. A session of
    `Artifact.session` can be pickled: what travels are the artifact's path and the digest of its
    manifest, and the other side loads the graph anew.

    Attributes:
        variant: the name of what it loaded.
        options: what was set for the provider that runs it.
        threads: how many threads compute one call.
    """

    def __init__(
        self,
        variant: str,
        graph: Path,
        spec: Variant,
        provider: str | ProviderOptions,
        threads: int | None,
        *,
        artifact: Artifact | None = None,
    ) -> None:
        """Load `graph` on a provider, and check it against its manifest entry.

        Args:
            variant: its name.
            graph: its file.
            spec: what the manifest says of it.
            provider: `cpu`, `cuda`, `tensorrt`, or the options of one.
            threads: how many compute one call; None, as many as this process may use CPUs.
            artifact: where all of this is from, for a copy of it in another process.

        Raises:
            ArtifactError: onnxruntime can't load the graph, or its inputs or outputs are not those
                of the manifest.
            ProviderError: the provider did not start, or not as asked.
            InputError: `threads` is no whole number from 1 to 1024, or the options are not for
                this graph.
        """
        if threads is not None:
            whole("threads", threads, 1, _MOST_THREADS)
        self.variant = variant
        self.options = options_of(provider)
        self.threads = threads or usable_cpus()
        self._asked_threads, self._artifact, self._spec = threads, artifact, spec
        files = GraphFiles(_digests(graph, spec, artifact))
        self._opener = Opener(files, spec, self.options, self.threads)
        self._inputs = frozenset(tensor.name for tensor in spec.inputs)
        self._opening = threading.Lock()
        self._call: Call | None = self._opened()
        forked.watch(self)

    def __reduce__(self) -> tuple[Callable[..., Session], tuple[Any, ...]]:
        if self._artifact is None:
            raise TypeError("only a session that an artifact opened can be pickled")
        from distilroberta.runtime.artifact import reopened_session

        made_with = self._artifact, self.variant, self.options, self._asked_threads
        return reopened_session, made_with

    @property
    def provider(self) -> str:
        """The execution provider that runs it: `cpu`, `cuda` or `tensorrt`."""
        return self.options.name

    @property
    def classes(self) -> int | str | None:
        """The width of a row of `logits`: the size of the vocabulary, or the number of labels.

        None for question-answering and feature-extraction, whose outputs have other names.
        """
        logits = (output for output in self._spec.outputs if output.name == "logits")
        return next((output.shape[-1] for output in logits), None)

    def run(self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]) -> Any:
        """Run the graph on token ids and a mask of real tokens, both int64 (batch, length).

        Returns:
            The logits, float32: (masks, vocabulary) for fill-mask, in reading order over the
            batch; (batch, labels) for text-classification; (batch, length, labels) for
            token-classification. For feature-extraction the last hidden states, float32 (batch,
            length, hidden). A graph with several outputs gives a tuple of them, in the
            order of the manifest: for question-answering start logits and end logits, both
            (batch, length). Where a position of the batch is padding, its values mean nothing.

        Raises:
            OutOfMemoryError: there was not enough memory for this call. A smaller batch may do.
            ArtifactError: this is a forked process, and the graph was changed since it was loaded.
            ProviderError: this is a forked process, and the provider can't be used in one.
        """
        feeds = {"input_ids": input_ids, "attention_mask": attention_mask}
        needed = {name: array for name, array in feeds.items() if name in self._inputs}
        forked.notice()
        call = self._call or self._reopened()
        try:
            outputs = call(needed)
        except Exception as error:  # onnxruntime's own types share no base but this
            if not any(words in str(error) for words in _OUT_OF_MEMORY):
                raise
            raise OutOfMemoryError(
                f"provider {self.provider} has not enough memory for {input_ids.shape[0]} texts "
                f"of {input_ids.shape[1]} tokens: use a smaller batch"
            ) from error
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def nodes(self) -> dict[str, int]:
        """Return how many nodes of the graph each provider runs, as in `{"cpu": 391}`.

        Counted after the first optimizations, before each provider fuses its own.
        """
        forked.notice()
        call = self._call or self._reopened()
        names = {kind.needs: name for name, kind in PROVIDERS.items()}
        placed = node_placement.of(call.session)
        return {names.get(name, name): found.total() for name, found in placed.items()}

    def abandon(self) -> None:
        """Leave what is loaded as it is, for ever: it is of the process this one is a fork of."""
        if self._call is not None:
            forked.never_free(self._call)
        self._call = None
        # Another thread of the parent may have held it.
        self._opening = threading.Lock()

    def _reopened(self) -> Call:
        with self._opening:
            if self._call is None:
                if self.provider != "cpu":
                    raise ProviderError(
                        f"provider {self.provider} can't be used in a process that was forked "
                        "after it started: CUDA does not allow it; load the artifact in the child, "
                        "or start the child with multiprocessing's spawn"
                    )
                self._opener.files.check_unchanged()
                self._call = self._opened()
            return self._call

    def _opened(self) -> Call:
        return calling(self._opener.open(), self.options, self._config)

    def _config(self) -> ModelConfig:
        from distilroberta.runtime.tasks.model_config import ModelConfig

        if self._artifact is None:
            raise InputError("CudaOptions: cuda_graph must be False for a graph without artifact")
        return ModelConfig.read(self._artifact.file(layout.CONFIG))


def _digests(graph: Path, spec: Variant, artifact: Artifact | None) -> dict[Path, str | None]:
    if artifact is None:
        return {graph: None}
    names = (spec.graph, *spec.reads)
    return {artifact.file(name): artifact.manifest.files[name].sha256 for name in names}
