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


class Sleeps(Steady):
    """Takes as long as it is told, for each token of a text."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def call(self, workload: Any) -> Callable[[], Any]:
        return lambda: time.sleep(self.seconds * len(workload.ids[0]))


class Spins(Steady):
    """As `Sleeps`, but keeps a CPU busy."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def call(self, workload: Any) -> Callable[[], Any]:
        def spin() -> None:
            end = time.perf_counter() + self.seconds * len(workload.ids[0])
            while time.perf_counter() < end:
                pass

        return spin


class DiesAt(Steady):
    """Dies when it is timed on one workload."""

    def __init__(self, workload: str) -> None:
        super().__init__()
        self.workload = workload

    def call(self, workload: Any) -> Callable[[], Any]:
        return lambda: os._exit(4) if workload.name == self.workload else time.sleep(0.001)


class DiesForGood(DiesAt):
    """As `DiesAt`, and can't be loaded again: the first process leaves a file that says so."""

    def __init__(self, workload: str, trace: str) -> None:
        if os.path.exists(trace):
            raise ValueError("the file is damaged")
        super().__init__(workload)
        with open(trace, "x", encoding="utf-8"):
            pass


class Hoards(Steady):
    """Takes memory to answer, and gives it back."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def answer(self, workload: Any) -> Any:
        np.ones(self.size, dtype=np.uint8)
        return super().answer(workload)


class DiesAsked(Steady):
    def answer(self, workload: Any) -> Any:
        os._exit(5)


class RaisesTimed(Steady):
    def call(self, workload: Any) -> Callable[[], Any]:
        raise RuntimeError("no such input")
