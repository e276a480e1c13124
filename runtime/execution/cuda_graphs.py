"""Calls that are recorded as CUDA graphs, one for each of a few shapes, and then replayed.

A CUDA graph is all kernels of a run, started as one (CUDA C++ Programming Guide, "CUDA Graphs"). It
computes with the shapes and at the addresses it was recorded with. So inputs are padded to few
shapes, and for each there are arrays on the GPU that inputs are copied into and outputs are copied
out of. The first run of a new `gpu_graph_id` records; onnxruntime itself does the runs that have to
come before (https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html, "Using
CUDA Graphs").

What was recorded belongs to the thread that ran it (`PerThreadContext` in onnxruntime's
cuda_execution_provider.h). So all calls of a session are made by one thread, one after the other.
"""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distilroberta.runtime.errors import InputError
from distilroberta.runtime.execution.graph_calls import Call, Feeds, Outputs
from distilroberta.runtime.execution.ort import onnxruntime
from distilroberta.runtime.tasks.model_config import ModelConfig

# Shapes are powers of two, these the largest: 6 numbers of texts times 6 lengths. A model that
# takes fewer tokens has the most that it takes as its last length.
MOST_ROWS = 32
LENGTHS = (16, 512)

_GRAPH_ID = "gpu_graph_id"
_NOT_RECORDED = "-1"

Shape = tuple[int, int]


def recorded_shape(rows: int, length: int, max_length: int) -> Shape | None:
    """Return the shape that a batch is padded to; None if it is too large to be recorded.

    Args:
        rows: how many texts the batch has.
        length: how many tokens each of them has.
        max_length: the most tokens that the model takes.
    """
    longest = min(LENGTHS[1], max_length)
    if rows > MOST_ROWS or length > longest:
        return None
    return _power_of_two(rows), min(longest, max(LENGTHS[0], _power_of_two(length)))


def _power_of_two(least: int) -> int:
    return 1 << max(0, least - 1).bit_length()


class RecordedCall(Call):
    """Pad the inputs, replay the CUDA graph of their shape, and cut the outputs.

    A batch that is too large to be recorded runs as without CUDA graphs.
    """

    def __init__(self, session: Any, device: str, device_id: int, config: ModelConfig) -> None:
        """Take a session that was opened with `enable_cuda_graph`.

        Args:
            session: an `onnxruntime.InferenceSession`; its inputs are all (batch, length).
            device: onnxruntime's name for the device it is on, such as `cuda`.
            device_id: that device's number.
            config: the model's. Positions are counted from the ids that are not its padding, so
                nothing else will do to pad with.

        Raises:
            InputError: the shape of an output depends on more than the shape of the inputs.
        """
        super().__init__(session)
        self._device = device, device_id
        self._max_length = config.max_length
        self._padding = {"input_ids": config.pad_token_id, "attention_mask": 0}
        self._axes: tuple[Any, Any] = tuple(session.get_inputs()[0].shape)
        self._output_shapes = [tuple(output.shape) for output in session.get_outputs()]
        for name, shape in zip(self._names, self._output_shapes, strict=True):
            unknown = [axis for axis in shape if isinstance(axis, str) and axis not in self._axes]
            if unknown:
                raise InputError(
                    f"CudaOptions: cuda_graph must be False for this graph: how many {unknown[0]} "
                    f"its output {name} has depends on the texts, and a CUDA graph has fixed shapes"
                )
        self._recorded: dict[Shape, _Recorded] = {}
        self._numbers = itertools.count(1)  # 0 is onnxruntime's own
        self._thread = ThreadPoolExecutor(1, "cuda-graphs")

    def __call__(self, feeds: Feeds) -> Outputs:
        """Return the graph's outputs."""
        return self._thread.submit(self._run, feeds).result()

    def _run(self, feeds: Feeds) -> Outputs:
        rows, length = next(iter(feeds.values())).shape
        shape = recorded_shape(rows, length, self._max_length)
        if shape is None:
            outputs: Outputs = self.session.run(self._names, feeds, _options(_NOT_RECORDED))
            return outputs
        padded = {name: _pad(array, shape, self._padding[name]) for name, array in feeds.items()}
        recorded = self._recorded.get(shape) or self._new(padded, shape)
        outputs = recorded.run(padded)
        # Not before: one whose recording failed is not to be replayed.
        self._recorded[shape] = recorded
        return [
            output[tuple(slice(size) for size in sizes)].copy()
            for output, sizes in zip(outputs, self._sizes(rows, length), strict=True)
        ]

    def _new(self, padded: Feeds, shape: Shape) -> _Recorded:
        outputs = dict(zip(self._names, self._sizes(*shape), strict=True))
        return _Recorded(self.session, self._device, padded, outputs, str(next(self._numbers)))

    def _sizes(self, rows: int, length: int) -> list[tuple[int, ...]]:
        known = dict(zip(self._axes, (rows, length), strict=True))
        return [tuple(known.get(axis, axis) for axis in shape) for shape in self._output_shapes]


class _Recorded:
    """The arrays of one shape on the GPU, and the CUDA graph that was recorded with them."""

    def __init__(
        self,
        session: Any,
        device: tuple[str, int],
        inputs: Feeds,
        outputs: dict[str, tuple[int, ...]],
        number: str,
    ) -> None:
        value = onnxruntime.OrtValue
        self._session, self._options = session, _options(number)
        self._inputs = {
            name: value.ortvalue_from_numpy(array, *device) for name, array in inputs.items()
        }
        self._outputs = {
            name: value.ortvalue_from_shape_and_type(shape, np.float32, *device)
            for name, shape in outputs.items()
        }
        self._binding = session.io_binding()
        for name, array in self._inputs.items():
            self._binding.bind_ortvalue_input(name, array)
        for name, array in self._outputs.items():
            self._binding.bind_ortvalue_output(name, array)

    def run(self, feeds: Feeds) -> Outputs:
        for name, array in feeds.items():
            self._inputs[name].update_inplace(array)
        self._binding.synchronize_inputs()
        self._session.run_with_iobinding(self._binding, self._options)
        self._binding.synchronize_outputs()
        return [array.numpy() for array in self._outputs.values()]


def _pad(array: NDArray[np.int64], shape: Shape, value: int) -> NDArray[np.int64]:
    padded = np.full(shape, value, np.int64)
    padded[: array.shape[0], : array.shape[1]] = array
    return padded


def _options(number: str) -> Any:
    options = onnxruntime.RunOptions()
    options.add_run_config_entry(_GRAPH_ID, number)
    return options
