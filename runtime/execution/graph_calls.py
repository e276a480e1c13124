"""The ways to call a graph: as it is, giving memory back, with arrays on a GPU, or in pieces.

Each is a class whose objects are called with the graph's inputs, by name, and return its outputs in
order. They may be called from many threads at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from distilroberta.runtime.errors import InputError
from distilroberta.runtime.execution import memory
from distilroberta.runtime.execution.ort import onnxruntime
from distilroberta.runtime.execution.provider_options import (
    CpuOptions,
    CudaOptions,
    ProviderOptions,
    TensorRTOptions,
)

if TYPE_CHECKING:
    from distilroberta.runtime.tasks.model_config import ModelConfig

Feeds = Mapping[str, NDArray[np.int64]]
Outputs = list[NDArray[np.float32]]

_SHRINK_CPU_ARENA = ("memory.enable_memory_arena_shrinkage", "cpu:0")


class Call:
    """Call the graph as onnxruntime does it."""

    def __init__(self, session: Any) -> None:
        """Take an `onnxruntime.InferenceSession`."""
        self.session = session
        self._names = [output.name for output in session.get_outputs()]

    def __call__(self, feeds: Feeds) -> Outputs:
        """Return the graph's outputs."""
        outputs: Outputs = self.session.run(self._names, feeds)
        return outputs


class ReleasingCall(Call):
    """Give the memory of long calls back to the system once none of them is running.

    onnxruntime's arena keeps the memory of the longest call there ever was. Taking it anew costs a
    call some percent; long calls side by side pay that once, when the last of them ends.
    """

    def __init__(self, session: Any, options: CpuOptions, tokens: int) -> None:
        """Take a session on the CPU; a call of `tokens` or more (batch times length) is long."""
        super().__init__(session)
        self._tokens = tokens
        self._lock, self._running = threading.Lock(), 0
        self._options = onnxruntime.RunOptions()
        if options.memory_arena:
            self._options.add_run_config_entry(*_SHRINK_CPU_ARENA)

    def __call__(self, feeds: Feeds) -> Outputs:
        """Return the graph's outputs."""
        if next(iter(feeds.values())).size < self._tokens:
            return super().__call__(feeds)
        with self._lock:
            self._running += 1
        try:
            outputs: Outputs = self.session.run(self._names, feeds, self._options)
        finally:
            with self._lock:
                self._running -= 1
                is_last = self._running == 0
            if is_last:
                memory.release()
        return outputs


class BoundCall(Call):
    """Put the inputs on the GPU, leave the outputs there, and fetch all of them at the end."""

    def __init__(self, session: Any, device: str, device_id: int) -> None:
        """Take a session on a device by onnxruntime's name for it, such as `cuda`."""
        super().__init__(session)
        self._device = device, device_id

    def __call__(self, feeds: Feeds) -> Outputs:
        """Return the graph's outputs."""
        binding = self.session.io_binding()
        for name, array in feeds.items():
            value = onnxruntime.OrtValue.ortvalue_from_numpy(array, *self._device)
            binding.bind_ortvalue_input(name, value)
        for name in self._names:
            binding.bind_output(name, *self._device)
        self.session.run_with_iobinding(binding)
        outputs: Outputs = binding.copy_outputs_to_cpu()
        return outputs


class CallInPieces(Call):
    """Call the graph with as many rows at a time as its engine was built for."""

    def __init__(self, session: Any, options: TensorRTOptions) -> None:
        """Take a session on TensorRT."""
        super().__init__(session)
        self._most_rows, self._most_tokens = options.batches[2], options.lengths[2]

    def __call__(self, feeds: Feeds) -> Outputs:
        """Return the graph's outputs. Each has rows in the order of the batch.

        Raises:
            InputError: the texts are longer than the engine was built for.
        """
        rows, length = next(iter(feeds.values())).shape
        if length > self._most_tokens:
            raise InputError(
                f"{length} tokens are more than TensorRT's engine is built for: the most are "
                f"{self._most_tokens}; set TensorRTOptions(lengths=...)"
            )
        pieces = [
            super(CallInPieces, self).__call__(
                {name: array[start : start + self._most_rows] for name, array in feeds.items()}
            )
            for start in range(0, rows, self._most_rows)
        ]
        if len(pieces) == 1:
            return pieces[0]
        return [np.concatenate(parts) for parts in zip(*pieces, strict=True)]


def calling(session: Any, options: ProviderOptions, config: Callable[[], ModelConfig]) -> Call:
    """Return the way to call a session's graph that a provider's options ask for.

    Args:
        session: an `onnxruntime.InferenceSession`.
        options: what was set for its provider.
        config: reads the model's `config.json`, which few of the ways need.

    Raises:
        InputError: a CUDA graph is asked for, and the graph can't be recorded as one.
    """
    if isinstance(options, TensorRTOptions):
        return CallInPieces(session, options)
    if isinstance(options, CudaOptions):
        if options.cuda_graph:
            from distilroberta.runtime.execution.cuda_graphs import RecordedCall

            return RecordedCall(session, "cuda", options.device_id, config())
        is_bound = options.io_binding
        return BoundCall(session, "cuda", options.device_id) if is_bound else Call(session)
    if options.release_tokens is None:
        return Call(session)
    return ReleasingCall(session, options, options.release_tokens)
