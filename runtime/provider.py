"""Execution providers: what was asked for runs, or an error says why it can't.

onnxruntime itself never fails on a missing provider: it warns and runs on the CPU. A provider that
was named is therefore checked twice, in the build before the session and on the session after.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnxruntime

from distilroberta.runtime.errors import ProviderError

CPU = "CPUExecutionProvider"
# CUDA stands between TensorRT and the CPU: onnxruntime falls back along the list.
PROVIDERS: dict[str, tuple[str, ...]] = {
    "cpu": (CPU,),
    "cuda": ("CUDAExecutionProvider", CPU),
    "tensorrt": ("TensorrtExecutionProvider", "CUDAExecutionProvider", CPU),
}
_AUTO = ("cuda", "cpu")


def candidates(provider: str) -> tuple[str, ...]:
    """Return the providers to try, best first: one that was named, or those of `auto`.

    Raises:
        ProviderError: the name is unknown, or this onnxruntime is built without it.
    """
    built = onnxruntime.get_available_providers()
    if provider == "auto":
        return tuple(name for name in _AUTO if PROVIDERS[name][0] in built)
    if provider not in PROVIDERS:
        known = ", ".join(("auto", *PROVIDERS))
        raise ProviderError(f"unknown provider {provider!r}: choose one of {known}")
    if PROVIDERS[provider][0] not in built:
        raise ProviderError(
            f"provider {provider} needs {PROVIDERS[provider][0]}, which the installed onnxruntime "
            f"{onnxruntime.__version__} is built without (it has {', '.join(built)}); install "
            "onnxruntime-gpu in place of onnxruntime, or choose provider cpu"
        )
    return (provider,)


def check_started(provider: str, running: Sequence[str]) -> None:
    """Check that a session made for `provider` really has it.

    Raises:
        ProviderError: onnxruntime fell back to another one.
    """
    if PROVIDERS[provider][0] not in running:
        raise ProviderError(
            f"provider {provider} is built into onnxruntime but did not start (running: "
            f"{', '.join(running)}); check the driver and the CUDA libraries, or choose provider "
            "cpu"
        )
