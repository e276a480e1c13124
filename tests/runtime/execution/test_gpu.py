"""What is asked of the NVIDIA driver, with a driver made here."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest

from distilroberta.runtime import ProviderError
from distilroberta.runtime.execution import gpu
from distilroberta.runtime.execution.gpu import Gpu, describe, tensorrt_version


@pytest.mark.usefixtures("driver")
def test_name_and_compute_capability() -> None:
    assert describe(0) == Gpu("NVIDIA T4", "7.5")
    assert describe(1) == Gpu("NVIDIA H200", "9.0")


@pytest.mark.usefixtures("driver")
def test_device_99() -> None:
    with pytest.raises(ProviderError, match=r"device 99 is not there: the driver shows 2 GPUs"):
        describe(99)


def test_no_device(driver: Any) -> None:
    driver.count = 0
    with pytest.raises(ProviderError, match=r"device 0 is not there: the driver shows 0 GPUs"):
        describe(0)


def test_driver_that_does_not_answer(driver: Any) -> None:
    driver.init_code = 100
    with pytest.raises(ProviderError, match=r"answers cuInit with CUDA error 100; run nvidia-smi"):
        describe(0)


def test_no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    with pytest.raises(ProviderError, match=r"no NVIDIA driver: libcuda.so.1: cannot open"):
        describe(0)
    with pytest.raises(ProviderError, match=r"no TensorRT library \(libnvinfer.so.10 or"):
        tensorrt_version()


def test_version_of_the_tensorrt_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    class Library:
        @staticmethod
        def getInferLibVersion() -> int:  # noqa: N802
            return 101401

    def only_11(name: str) -> Any:
        if name != gpu._TENSORRT[1]:
            raise OSError("not there")
        return Library

    monkeypatch.setattr(ctypes, "CDLL", only_11)
    assert tensorrt_version() == "101401"
