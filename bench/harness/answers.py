"""Do engines compute the same? Asked before any is timed: a wrong answer can be had fast.

Engines that quantize in different ways give different logits, so these are compared by the cosine
of the angle between them, each row less its own mean: adding a constant to all logits changes no
answer, and a whole pipeline shows only scores, which are logits up to such a constant. With two
classes and one text little is left of it: the cosine is 1 or -1, as the better label is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from distilroberta.bench.errors import WorkerError
from distilroberta.bench.harness.workload import Workload

# By the workload's name: float32 (rows, classes).
Answers = Mapping[str, NDArray[np.float32]]


class Answering(Protocol):
    """An engine that can be asked."""

    def answer(self, workload: Workload) -> NDArray[np.float32]:
        """Return the logits of each text: float32 (rows, vocabulary) or (rows, labels)."""


class Named(Answering, Protocol):
    """An engine of a comparison; `processes.Worker` is one."""

    @property
    def name(self) -> str:
        """What tables and errors call it."""


AnyEngine = TypeVar("AnyEngine", bound=Named)


def cosine(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Return the cosine of two sets of logits, (rows, classes), all rows taken as one vector.

    Each row is taken less its mean. The cosine is 0 where one set is constant in every row, and
    not a number where a logit is not.
    """
    one, other = _centred(found), _centred(expected)
    length = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float((one * other).sum()) / length if length else 0.0


def _centred(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    wide = logits.astype(np.float64)
    return wide - wide.mean(axis=-1, keepdims=True)


def ask(engine: Answering, workloads: Sequence[Workload]) -> Answers:
    """Return an engine's answers by the workload's name.

    Raises:
        WorkerError: it failed.
    """
    return {workload.name: engine.answer(workload) for workload in workloads}


def check(
    engines: Sequence[AnyEngine],
    workloads: Sequence[Workload],
    *,
    expected: Mapping[str, Answers],
    least: float | Mapping[str, float],
) -> tuple[dict[str, float], dict[str, str]]:
    """Compare every engine's answers to the right ones.

    Args:
        engines: asked for all workloads.
        workloads: what they are asked.
        expected: the right answers of each engine.
        least: the lowest cosine that still counts as the same answer, one for all or by engine.

    Returns:
        The lowest cosine of each engine that passed, and for each of the others what is wrong.
    """
    passed, refused = {}, {}
    for engine in engines:
        bound = least[engine.name] if isinstance(least, Mapping) else least
        worst = 1.0
        for workload in workloads:
            try:
                found = engine.answer(workload)
            except WorkerError as error:
                refused[engine.name] = f"{workload.name}: {error.reason}"
                break
            problem, value = _compare(found, expected[engine.name][workload.name], bound)
            if problem:
                refused[engine.name] = f"{workload.name}: {problem}"
                break
            worst = min(worst, value)
        else:
            passed[engine.name] = worst
    return passed, refused


def _compare(
    found: NDArray[np.float32], expected: NDArray[np.float32], least: float
) -> tuple[str, float]:
    if found.shape != expected.shape:
        return f"answers with shape {found.shape}, must be {expected.shape}", 0.0
    value = cosine(found, expected)
    if not value >= least:  # also where it is not a number
        return f"the cosine of its logits is {value:.4f}, must be {least} or more", value
    return "", value
