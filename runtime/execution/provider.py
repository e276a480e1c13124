"""Execution providers: what was asked for runs, or an error says why it can't.

onnxruntime itself never fails on a missing provider: it warns and runs on the CPU. A provider that
was named is therefore checked twice, in the build before the session and on the session after.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distilroberta.runtime.checks import shown
from distilroberta.runtime.errors import ProviderError
from distilroberta.runtime.execution.ort import onnxruntime
from distilroberta.runtime.execution.provider_options import (
    CpuOptions,
    CudaOptions,
    ProviderOptions,
    TensorRTOptions,
)

_LOG = logging.getLogger(__name__)

PROVIDERS: Mapping[str, type[ProviderOptions]] = {
    kind.name: kind for kind in (CpuOptions, CudaOptions, TensorRTOptions)
}
_AUTO = ("cuda", "cpu")
_LIBRARIES = {"cuda": "onnxruntime_providers_cuda", "tensorrt": "onnxruntime_providers_tensorrt"}


def candidates(provider: str | ProviderOptions) -> tuple[ProviderOptions, ...]:
    """Return the options of the providers to try, best first.

    Args:
        provider: the options of one, its name for the default options, or `auto`.

    Raises:
        ProviderError: the name is unknown, or this onnxruntime is built without it.
    """
    built = onnxruntime.get_available_providers()
    if isinstance(provider, str) and provider == "auto":
        return tuple(PROVIDERS[name]() for name in _AUTO if PROVIDERS[name].needs in built)
    options = options_of(provider)
    if options.needs not in built:
        raise ProviderError(
            f"provider {options.name} needs {options.needs}, which the installed onnxruntime "
            f"{onnxruntime.__version__} is built without (it has {', '.join(built)}); install "
            "onnxruntime-gpu in place of onnxruntime, or choose provider cpu"
        )
    return (options,)


def options_of(provider: str | ProviderOptions) -> ProviderOptions:
    """Return a provider's options, the default ones for its name.

    Raises:
        ProviderError: there is no provider of this name.
    """
    if isinstance(provider, (CpuOptions, CudaOptions, TensorRTOptions)):
        return provider
    if not isinstance(provider, str) or provider not in PROVIDERS:
        known = ", ".join(("auto", *PROVIDERS))
        raise ProviderError(f"unknown provider {shown(provider)}: choose one of {known}")
    return PROVIDERS[provider]()


def find_libraries() -> None:
    """Let onnxruntime load the CUDA libraries that were installed as Python packages, if any.

    The system's loader does not look where those are. What onnxruntime prints meanwhile goes to the
    log.
    """
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        onnxruntime.preload_dlls()
    for line in printed.getvalue().splitlines():
        _LOG.info("onnxruntime.preload_dlls: %s", line)


def check_started(options: ProviderOptions, session: Any) -> None:
    """Check that a session made for a provider really has it, on the device that was asked for.

    Args:
        options: what was asked for.
        session: the live `onnxruntime.InferenceSession`.

    Raises:
        ProviderError: onnxruntime fell back to another one, or runs on another device.
    """
    running = session.get_providers()
    if options.needs not in running:
        raise ProviderError(
            f"provider {options.name} is built into onnxruntime but did not start (running: "
            f"{', '.join(running)}); {reason(options)}"
        )
    if isinstance(options, CpuOptions):
        return
    found = session.get_provider_options().get(options.needs, {}).get("device_id")
    if found != str(options.device_id):
        raise ProviderError(
            f"provider {options.name} runs on device {found}, not on {options.device_id}: "
            "choose another device_id"
        )


def reason(options: ProviderOptions) -> str:
    """Return what keeps a provider from starting, as far as can be found out, and what to do."""
    otherwise = "or choose provider cpu"
    if isinstance(options, CpuOptions):
        return "install onnxruntime again"
    missing = _missing_library(_LIBRARIES[options.name])
    if missing:
        return f"a library it needs is missing: {missing}; install it, {otherwise}"
    from distilroberta.runtime.execution import gpu

    try:
        found = gpu.describe(options.device_id)
    except ProviderError as error:
        return f"{error}, {otherwise}"
    return f"check that the driver and the CUDA libraries fit {found.name}, {otherwise}"


def _missing_library(name: str) -> str:
    """Return what the system's loader says of a library of onnxruntime's; nothing if it loads."""
    folder = Path(onnxruntime.__file__).parent / "capi"
    library = next((path for path in folder.glob(f"*{name}.*") if path.is_file()), None)
    if library is None:
        return f"{name} is not in {folder}"
    try:
        ctypes.CDLL(str(library))
    except OSError as error:
        return " ".join(str(error).split())
    return ""
