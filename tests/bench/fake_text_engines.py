"""Classifiers for worker processes: each has known labels and a known speed, or fails."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np


class Labels:
    """Gives every text the first label, but some; takes as long as it is told."""

    def __init__(self, others: int = 0, seconds: float = 0.0) -> None:
        self._others, self._seconds = others, seconds

    def call(self, workload: Any) -> Callable[[], Any]:
        return lambda: time.sleep(self._seconds)

    def answer(self, workload: Any) -> Any:
        logits = np.zeros((len(workload.texts), 2), dtype=np.float32)
        logits[:, 0] = 1
        logits[: self._others] = logits[: self._others, ::-1]
        return logits


class Dies(Labels):
    def call(self, workload: Any) -> Callable[[], Any]:
        return lambda: os._exit(4)
