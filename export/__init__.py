"""PyTorch checkpoints to artifacts.

    >>> from distilroberta.export import build
    >>> artifact = build("distilbert/distilroberta-base", "artifacts/distilroberta-base")

Needs the `export` extra: pip install 'distilroberta-onnx[export]'.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distilroberta.export.assemble import build
    from distilroberta.export.errors import ExportError, HubError, ParityError

__all__ = ["ExportError", "HubError", "ParityError", "build"]


def __getattr__(name: str) -> Any:
    # Loaded on first use: torch takes seconds to import, and the command line lists the commands
    # of this part without needing it.
    if name == "build":
        from distilroberta.export.assemble import build

        return build
    if name in __all__:
        from distilroberta.export import errors

        return getattr(errors, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
