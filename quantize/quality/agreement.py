"""How close a model's logits are to those of the one it is compared with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_TOP = 5


@dataclass(frozen=True)
class Agreement:
    """A variant's logits against the reference's, over all rows that are read.

    A row is the logits of a text, of a mask, of a word's first token, or of the start or the end
    of an answer over the tokens it may stand at.

    `rows` is their number. `same_top` is the share of rows with the same highest logit,
    `top_5_overlap` the mean share of the five highest that both have, None where a row has no more
    than five; `kl` the mean Kullback-Leibler divergence of the softmax in nats, the reference's
    distribution first. All three are None for a regression. `largest_difference` is that of any
    logit, absolute.
    """

    rows: int
    same_top: float | None
    top_5_overlap: float | None
    kl: float | None
    largest_difference: float


class AgreementTally:
    """Sums over the rows compared so far; the logits themselves are not kept."""

    def __init__(self) -> None:
        """Begin without rows."""
        self._rows = self._same_top = self._ranked = self._classes = 0
        self._kl = self._overlap = self._largest = 0.0

    def add(self, found: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
        """Add finite logits of a variant and of the reference, both (rows, classes)."""
        ours, theirs = found.astype(np.float64), expected.astype(np.float64)
        self._rows += len(ours)
        self._largest = max(self._largest, float(np.abs(ours - theirs).max(initial=0)))
        classes = ours.shape[1]
        self._classes = max(self._classes, classes)
        self._same_top += int((ours.argmax(axis=1) == theirs.argmax(axis=1)).sum())
        p, q = log_softmax(theirs), log_softmax(ours)
        self._kl += float((np.exp(p) * (p - q)).sum())
        if classes > _TOP:
            self._ranked += len(ours)
            pairs = zip(_highest(ours), _highest(theirs), strict=True)
            self._overlap += sum(len(set(a) & set(b)) / _TOP for a, b in pairs)

    def result(self) -> Agreement:
        """Summarize the rows, of which there is at least one."""
        several = self._classes > 1
        return Agreement(
            rows=self._rows,
            same_top=self._same_top / self._rows if several else None,
            top_5_overlap=self._overlap / self._ranked if self._ranked else None,
            kl=self._kl / self._rows if several else None,
            largest_difference=self._largest,
        )


def log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the logarithm of the softmax over the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def _highest(logits: NDArray[np.float64]) -> list[list[int]]:
    # In no order: they are compared as sets.
    top: list[list[int]] = np.argpartition(logits, -_TOP, axis=1)[:, -_TOP:].tolist()
    return top
