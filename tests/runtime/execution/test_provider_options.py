"""Options are checked when they are made, and reach onnxruntime under its own names."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distilroberta.runtime import InputError
from distilroberta.runtime.execution.provider_options import (
    CpuOptions,
    CudaOptions,
    TensorRTOptions,
)

WRONG: list[tuple[type[Any], str, Any]] = [
    (CpuOptions, "spinning", 1),
    (CpuOptions, "memory_arena", "yes"),
    (CpuOptions, "release_tokens", 0),
    (CpuOptions, "release_tokens", True),
    (CudaOptions, "device_id", -1),
    (CudaOptions, "device_id", "0"),
    (CudaOptions, "device_id", False),
    (CudaOptions, "memory_limit", 0),
    (CudaOptions, "memory_limit", 1.5),
    (CudaOptions, "grow_as_requested", None),
    (CudaOptions, "use_tf32", 1),
    (CudaOptions, "io_binding", "no"),
    (CudaOptions, "cuda_graph", 1),
    (CudaOptions, "cpu_nodes", "some"),
    (CudaOptions, "cpu_nodes", []),
    (CudaOptions, "cpu_nodes", np.array(["none", "shapes"])),
    (TensorRTOptions, "lengths", (1, 10**5000, 5)),
    (TensorRTOptions, "device_id", -1),
    (TensorRTOptions, "batches", (1, 8)),
    (TensorRTOptions, "batches", [1, 8, 32]),
    (TensorRTOptions, "batches", (0, 8, 32)),
    (TensorRTOptions, "batches", (8, 1, 32)),
    (TensorRTOptions, "lengths", (1, 128, 64)),
    (TensorRTOptions, "lengths", (1, 2, True)),
    (TensorRTOptions, "lengths", None),
    (TensorRTOptions, "fp16", "half"),
    (TensorRTOptions, "optimization_level", 6),
    (TensorRTOptions, "optimization_level", -1),
    (TensorRTOptions, "workspace", 0),
    (TensorRTOptions, "cache", 1),
    (TensorRTOptions, "cache_folder", 5),
    (TensorRTOptions, "cache_folder", "\0"),
    (TensorRTOptions, "cpu_nodes", None),
]


@pytest.mark.parametrize(("kind", "field", "value"), WRONG)
def test_a_wrong_value_is_refused_by_name(kind: type[Any], field: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"^{kind.__name__}: {field} must be .*, found "):
        kind(**{field: value})


@pytest.mark.parametrize("kind", [CpuOptions, CudaOptions, TensorRTOptions])
def test_every_field_is_documented_and_frozen(kind: type[Any]) -> None:
    for field in dataclasses.fields(kind):
        assert f"\n        {field.name}: " in (kind.__doc__ or ""), field.name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(kind(), field.name, None)


def test_cuda_by_default() -> None:
    assert CudaOptions().listed() == (
        "CUDAExecutionProvider",
        {"device_id": "0", "arena_extend_strategy": "kSameAsRequested", "use_tf32": "0"},
    )


def test_cuda_with_everything_set() -> None:
    options = CudaOptions(
        device_id=3, memory_limit=1 << 30, grow_as_requested=False, use_tf32=True, cuda_graph=True
    )
    assert options.listed()[1] == {
        "device_id": "3",
        "arena_extend_strategy": "kNextPowerOfTwo",
        "use_tf32": "1",
        "gpu_mem_limit": "1073741824",
        "enable_cuda_graph": "1",
    }


def test_tensorrt_has_a_profile_for_every_input() -> None:
    name, options = TensorRTOptions(batches=(1, 4, 16), lengths=(2, 64, 256)).listed(
        ["input_ids", "attention_mask"], None
    )
    assert name == "TensorrtExecutionProvider"
    assert options == {
        "device_id": "0",
        "trt_fp16_enable": "False",
        "trt_builder_optimization_level": "3",
        "trt_engine_cache_enable": "False",
        "trt_timing_cache_enable": "False",
        "trt_profile_min_shapes": "input_ids:1x2,attention_mask:1x2",
        "trt_profile_opt_shapes": "input_ids:4x64,attention_mask:4x64",
        "trt_profile_max_shapes": "input_ids:16x256,attention_mask:16x256",
    }


def test_tensorrt_with_a_cache(tmp_path: Path) -> None:
    wanted = TensorRTOptions(device_id=1, fp16=True, optimization_level=5, workspace=1 << 20)
    options = wanted.listed(["input_ids"], str(tmp_path))[1]
    assert options["trt_engine_cache_path"] == options["trt_timing_cache_path"] == str(tmp_path)
    assert options["trt_engine_cache_enable"] == options["trt_timing_cache_enable"] == "True"
    assert options["trt_max_workspace_size"] == "1048576"
    assert options["trt_fp16_enable"] == "True"
    assert options["trt_builder_optimization_level"] == "5"
    assert options["device_id"] == "1"
