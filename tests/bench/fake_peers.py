"""An engine for worker processes that answers as PyTorch does, and dies when it is timed."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from distilroberta.bench.engines.sessions import read
from distilroberta.bench.engines.torch_engines import TorchModel


class DiesAt(TorchModel):
    """Dies at one workload, and does the others."""

    def __init__(self, workload: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._fatal = workload

    def call(self, workload: Any) -> Callable[[], Any]:
        if workload.name == self._fatal:
            return lambda: os._exit(4)
        return super().call(workload)

    def answer(self, workload: Any) -> Any:
        return read(super().call(workload)().numpy(), workload)
