"""Engines for worker processes: each does one thing wrong, or nothing."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np


class Steady:
    """Answers at once, always the same."""

    def __init__(self, shift: float = 0.0) -> None:
        self.shift = shift
        sys.stdout.write("a library that prints to standard output\n")

    def call(self, workload: Any) -> Callable[[], Any]:
        return lambda: None

    def answer(self, workload: Any) -> Any:
        return np.arange(8, dtype=np.float32)[None] + np.float32(self.shift)


class Reversed(Steady):
    def answer(self, workload: Any) -> Any:
        return -super().answer(workload)


class Environment(Steady):
    """Answers with a number that the process found in its environment."""

    def answer(self, workload: Any) -> Any:
        return np.float32(os.environ["FAKE_ENVIRONMENT"])


class NoLoad:
    def __init__(self) -> None:
        raise ValueError("the file is not there")


class DiesLoading:
    def __init__(self) -> None:
        sys.stderr.write("out of luck\n")
        os._exit(3)


class NeverReady:
    def __init__(self) -> None:
        time.sleep(600)


class DiesTimed(Steady):
    def call(self, workload: Any) -> Callable[[], Any]:
        sys.stderr.write("about to fall\n")
        return lambda: os._exit(4)


class RaisesTimed(Steady):
    def call(self, workload: Any) -> Callable[[], Any]:
        raise RuntimeError("no such input")
