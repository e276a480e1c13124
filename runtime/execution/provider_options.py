"""What can be set for each execution provider, checked when it is set.

`provider=` takes one of these objects in place of a name; the name stands for its defaults. Names
and meaning of what goes to onnxruntime: https://onnxruntime.ai/docs/execution-providers.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from distilroberta.runtime.checks import flag, is_whole, shown, whole
from distilroberta.runtime.errors import InputError

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"

# A provider's name at onnxruntime, and its options there.
Listed = tuple[str, dict[str, str]]


@dataclass(frozen=True)
class CpuOptions:
    """The CPU.

    Attributes:
        spinning: threads wait for the next piece of work in a loop, not asleep. A call is a little
            faster where its CPUs have nothing else to do; where they have, spinning takes time
            from it.
        memory_arena: memory of a call is kept for the next one. Without it every call takes memory
            from the system and gives it back.
        release_tokens: the memory of calls of at least so many tokens (texts times the longest one)
            is given back to the system when the last of them that are running ends; None keeps it
            for the next one.
    """

    name: ClassVar[str] = "cpu"
    needs: ClassVar[str] = CPU

    spinning: bool = False
    memory_arena: bool = True
    release_tokens: int | None = 128

    def __post_init__(self) -> None:
        """Check the fields.

        Raises:
            InputError: a field has a value it can't have.
        """
        _check_flags(self, "spinning", "memory_arena")
        if self.release_tokens is not None:
            _check_whole(self, "release_tokens", 1)


@dataclass(frozen=True)
class CudaOptions:
    """An NVIDIA GPU, through CUDA and cuDNN.

    Attributes:
        device_id: the GPU, counted from 0 among those that CUDA_VISIBLE_DEVICES leaves.
        memory_limit: bytes that onnxruntime may take on the GPU for weights and results; None, all
            there is. CUDA and its libraries take some hundred MB more.
        grow_as_requested: take as much memory as is needed and no more. Otherwise onnxruntime takes
            twice as much as the last time, which takes it less often.
        use_tf32: let FP32 products round their factors to 10 bits of mantissa (TF32, GPUs from
            Ampere on). Faster, and no longer equal to PyTorch's FP32 to 1e-4.
        io_binding: put inputs on the GPU and fetch the results in one copy of our own, not in
            copies that onnxruntime puts into the graph.
        cuda_graph: record the kernels of a call as a CUDA graph and start them as one, see
            `cuda_graphs`. Inputs are padded to shapes of powers of two; calls run one after the
            other; arrays are bound as with `io_binding`. Not for fill-mask, and not together with
            `cpu_nodes="any"`: what runs on the CPU can't be recorded.
        cpu_nodes: what may be left on the CPU: `shapes`, integer operators that compute the shapes
            of other tensors, which onnxruntime puts there on purpose; `none`; `any`, whatever the
            provider has no operator for.
    """

    name: ClassVar[str] = "cuda"
    needs: ClassVar[str] = CUDA

    device_id: int = 0
    memory_limit: int | None = None
    grow_as_requested: bool = True
    use_tf32: bool = False
    io_binding: bool = False
    cuda_graph: bool = False
    cpu_nodes: str = "shapes"

    def __post_init__(self) -> None:
        """Check the fields.

        Raises:
            InputError: a field has a value it can't have.
        """
        _check_whole(self, "device_id", 0)
        if self.memory_limit is not None:
            _check_whole(self, "memory_limit", 1)
        _check_flags(self, "grow_as_requested", "use_tf32", "io_binding", "cuda_graph")
        _check_cpu_nodes(self)
        if self.cuda_graph and self.cpu_nodes == "any":
            raise _wrong(self, "cpu_nodes", "shapes or none with cuda_graph")

    def listed(self) -> Listed:
        """Return CUDA's name and options for onnxruntime."""
        grow = "kSameAsRequested" if self.grow_as_requested else "kNextPowerOfTwo"
        options = {
            "device_id": str(self.device_id),
            "arena_extend_strategy": grow,
            "use_tf32": str(int(self.use_tf32)),
        }
        if self.memory_limit is not None:
            options["gpu_mem_limit"] = str(self.memory_limit)
        if self.cuda_graph:
            options["enable_cuda_graph"] = "1"
        return CUDA, options


@dataclass(frozen=True)
class TensorRTOptions:
    """An NVIDIA GPU, through TensorRT; CUDA runs the operators that TensorRT lacks.

    TensorRT builds an engine for the graph, which takes minutes, for a range of shapes. Engines are
    kept in a folder and built again when the graph, onnxruntime, TensorRT or the GPU is another
    one.

    Attributes:
        device_id: the GPU, counted from 0 among those that CUDA_VISIBLE_DEVICES leaves.
        batches: the fewest texts in a call, the number to be fastest at, and the most. A larger
            batch is run in pieces.
        lengths: the same for tokens in a text. A longer text is an error.
        fp16: let TensorRT compute FP32 operators in FP16 where that is faster. The variant `fp16`
            needs no such leave.
        optimization_level: how long TensorRT looks for faster kernels, from 0 to 5.
        workspace: the most bytes of GPU memory that a kernel may take besides its results; None,
            all there is.
        cache: keep engines, and the timings they were chosen by.
        cache_folder: where to keep them; None, a folder in the user's cache. It must be the user's
            own and closed to others, for an engine is code.
        cpu_nodes: what may be left on the CPU, as in `CudaOptions`.
    """

    name: ClassVar[str] = "tensorrt"
    needs: ClassVar[str] = TENSORRT

    device_id: int = 0
    batches: tuple[int, int, int] = (1, 8, 32)
    lengths: tuple[int, int, int] = (1, 128, 512)
    fp16: bool = False
    optimization_level: int = 3
    workspace: int | None = None
    cache: bool = True
    cache_folder: str | os.PathLike[str] | None = None
    cpu_nodes: str = "shapes"

    def __post_init__(self) -> None:
        """Check the fields.

        Raises:
            InputError: a field has a value it can't have.
        """
        _check_whole(self, "device_id", 0)
        _check_range(self, "batches")
        _check_range(self, "lengths")
        _check_flags(self, "fp16", "cache")
        _check_whole(self, "optimization_level", 0, 5)
        if self.workspace is not None:
            _check_whole(self, "workspace", 1)
        if self.cache_folder is not None and not _is_path(self.cache_folder):
            raise _wrong(self, "cache_folder", "a path or None")
        _check_cpu_nodes(self)

    def listed(self, inputs: Sequence[str], cache: str | None) -> Listed:
        """Return TensorRT's name and options for onnxruntime.

        Args:
            inputs: the names of the graph's inputs, all (batch, length). Every one needs a profile,
                or onnxruntime uses none.
            cache: the folder for engines and timings; None keeps none.
        """
        options = {
            "device_id": str(self.device_id),
            "trt_fp16_enable": _flag(self.fp16),
            "trt_builder_optimization_level": str(self.optimization_level),
            "trt_engine_cache_enable": _flag(cache is not None),
            "trt_timing_cache_enable": _flag(cache is not None),
        }
        for index, kind in enumerate(("min", "opt", "max")):
            shape = f"{self.batches[index]}x{self.lengths[index]}"
            options[f"trt_profile_{kind}_shapes"] = ",".join(f"{name}:{shape}" for name in inputs)
        if self.workspace is not None:
            options["trt_max_workspace_size"] = str(self.workspace)
        if cache is not None:
            options["trt_engine_cache_path"] = cache
            options["trt_timing_cache_path"] = cache
        return TENSORRT, options


ProviderOptions = CpuOptions | CudaOptions | TensorRTOptions

_CPU_NODES = ("shapes", "none", "any")


def _flag(value: bool) -> str:
    return "True" if value else "False"


def _check_flags(options: Any, *fields: str) -> None:
    for field in fields:
        flag(_named(options, field), getattr(options, field))


def _check_whole(options: Any, field: str, least: int, most: int | None = None) -> None:
    whole(_named(options, field), getattr(options, field), least, most)


def _check_range(options: Any, field: str) -> None:
    value = getattr(options, field)
    rises = (
        isinstance(value, tuple)
        and len(value) == 3
        and all(is_whole(one, 1) for one in value)
        and value[0] <= value[1] <= value[2]
    )
    if not rises:
        raise _wrong(options, field, "three whole numbers (least, best, most) that rise from 1 up")


def _check_cpu_nodes(options: Any) -> None:
    if not isinstance(options.cpu_nodes, str) or options.cpu_nodes not in _CPU_NODES:
        raise _wrong(options, "cpu_nodes", f"one of {', '.join(_CPU_NODES)}")


def _named(options: Any, field: str) -> str:
    return f"{type(options).__name__}: {field}"


def _wrong(options: Any, field: str, needed: str) -> InputError:
    found = shown(getattr(options, field))
    return InputError(f"{_named(options, field)} must be {needed}, found {found}")


def _is_path(value: Any) -> bool:
    if not isinstance(value, (str, os.PathLike)):
        return False
    path = os.fspath(value)
    return isinstance(path, str) and "\0" not in path
