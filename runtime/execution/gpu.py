"""What the NVIDIA driver says of a GPU, asked without any library of CUDA's.

The driver brings the library `libcuda`, and with it the functions used here; see the CUDA Driver
API, "Device Management". Nothing is computed on the GPU and no memory is taken there.
"""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from typing import Any

from distilroberta.runtime.errors import ProviderError

_DRIVER = "nvcuda.dll" if os.name == "nt" else "libcuda.so.1"
# Those that releases of onnxruntime from 1.24 on are linked to.
_TENSORRT = (
    ("nvinfer_10.dll", "nvinfer_11.dll")
    if os.name == "nt"
    else ("libnvinfer.so.10", "libnvinfer.so.11")
)
_NAME_BYTES = 256
# CUdevice_attribute: the major and minor number of the compute capability.
_CAPABILITY = (75, 76)


@dataclass(frozen=True)
class Gpu:
    """A GPU's name, and its compute capability as in "9.0"."""

    name: str
    capability: str


def describe(device_id: int) -> Gpu:
    """Ask the driver for a GPU.

    Args:
        device_id: counted from 0 among those that CUDA_VISIBLE_DEVICES leaves.

    Raises:
        ProviderError: there is no driver, no GPU, or none of that number.
    """
    try:
        driver = ctypes.CDLL(_DRIVER)
    except OSError as error:
        raise ProviderError(f"there is no NVIDIA driver: {error}; install it") from error
    count = ctypes.c_int()
    _ask(driver.cuInit, 0)
    _ask(driver.cuDeviceGetCount, ctypes.byref(count))
    if device_id >= count.value:
        raise ProviderError(
            f"device {device_id} is not there: the driver shows {count.value} GPUs, counted from "
            "0; choose another device_id, or look at CUDA_VISIBLE_DEVICES"
        )
    device, name = ctypes.c_int(), ctypes.create_string_buffer(_NAME_BYTES)
    _ask(driver.cuDeviceGet, ctypes.byref(device), device_id)
    _ask(driver.cuDeviceGetName, name, _NAME_BYTES, device)
    numbers = []
    for attribute in _CAPABILITY:
        number = ctypes.c_int()
        _ask(driver.cuDeviceGetAttribute, ctypes.byref(number), attribute, device)
        numbers.append(str(number.value))
    return Gpu(name.value.decode(errors="replace"), ".".join(numbers))


def _ask(function: Any, *arguments: Any) -> None:
    code = function(*arguments)
    if code != 0:
        raise ProviderError(
            f"the NVIDIA driver answers {function.__name__} with CUDA error {code}; run nvidia-smi "
            "to see what is wrong with it"
        )


def tensorrt_version() -> str:
    """Return the version of the TensorRT library that onnxruntime loads, as it numbers itself.

    Raises:
        ProviderError: the library is not there.
    """
    # onnxruntime has loaded it, or is about to: the loader knows it by one of these names.
    for library in _TENSORRT:
        try:
            return str(ctypes.CDLL(library).getInferLibVersion())
        except (OSError, AttributeError):
            continue
    raise ProviderError(
        f"there is no TensorRT library ({' or '.join(_TENSORRT)}); install TensorRT where the "
        "system's loader finds it, or choose provider cuda"
    )
