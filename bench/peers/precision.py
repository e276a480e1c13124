"""The precision that an engine of a comparison computes in, as far as its name says it."""

from __future__ import annotations

FP32 = "FP32"
_KNOWN = (FP32, "FP16", "BF16", "INT8", "INT4")
# What these compute in goes without saying in tables, not where precisions are compared.
_UNSAID = {
    "torch": FP32,
    "torch.compile": FP32,
    "transformers on torch": FP32,
    "our graph per tensor": "INT8",
}


def of(engine: str) -> str:
    """Return the precision of an engine, such as `INT8` of `ours int8-static in OpenVINO`."""
    if engine in _UNSAID:
        return _UNSAID[engine]
    words = engine.upper().replace("-", " ").split()
    return next(one for one in _KNOWN if one in words)


def named(engine: str) -> str:
    """Return an engine's name with its precision: `torch (FP32)`, `OpenVINO INT8`."""
    return f"{engine} ({_UNSAID[engine]})" if engine in _UNSAID else engine
