"""The probe texts of a build, and how close a variant's answers to them are to PyTorch's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from distilroberta.export.checkpoint import Loaded
from distilroberta.export.errors import ParityError
from distilroberta.export.reference import Reference
from distilroberta.runtime.manifest import Agreement
from distilroberta.runtime.session import Session

TEXTS = (
    "The old bridge across the river was closed for repairs last winter.",
    "She opened the letter slowly, read it twice, and put it back without a word.",
    "Fresh bread, olives and a little cheese are all you need for a good lunch.",
    "Although the first train was late, everybody reached the meeting in time.",
    "Researchers measured the temperature of the water at six different depths.",
    "I would not recommend this phone to anyone who takes a lot of pictures.",
    "The film starts well, but the second half is far too long.",
    "What a wonderful evening; the music, the food and the company were perfect!",
    "Can you tell me where the nearest post office is?",
    "In 1969, two astronauts walked on the moon while a third stayed in orbit.",
    "The committee will publish its report before the end of the month.",
    "He plays the violin in a small orchestra and teaches children on weekends.",
    "Prices rose by 3.2% in May, less than most economists had expected.",
    "It was raining so hard that we could barely see the road.",
    "The museum's new wing shows paintings from the eighteenth century.",
    "Please restart the computer after installing the update.",
)

# Every third token of a probe text is masked, one at a time.
_MASK_EVERY = 3

# The lowest cosine of a variant's logits, all rows taken as one vector, that is still the same
# model. DistilRoBERTa's INT8 is at 0.999; a graph put together wrongly is far below.
LOWEST_COSINE = {"fp32": 0.99999, "fp16": 0.999, "int8": 0.98}


# The standard graph of a variant has the served one's weights: fewer probes tell if it is right.
_STANDARD_EVERY = 8

# A probe's ids, (1, length), and PyTorch's logits, (rows, classes).
Case = tuple[NDArray[np.int64], NDArray[np.float32]]


class Probes:
    """The probe texts as token ids, each with PyTorch's logits."""

    def __init__(self, loaded: Loaded) -> None:
        """Tokenize the texts and run PyTorch on them."""
        reference = Reference(loaded)
        self._mask_token_id = loaded.tokenizer.mask_token_id
        self._cases: list[Case] = [
            (ids, reference.served(ids, np.ones_like(ids))) for ids in _encoded(loaded)
        ]

    def measure(self, session: Session, variant: str) -> Agreement:
        """Run a variant on each probe by itself and compare the logits.

        Raises:
            ParityError: the logits are not finite, or too far from PyTorch's to be the same model.
        """
        found = [session.run(ids, np.ones_like(ids)) for ids, _ in self._cases]
        return self._checked(found, self._cases, variant, f"variant {variant}")

    def check_standard(self, path: Path, variant: str) -> None:
        """Run a fill-mask graph with logits for every token on some probes, as other tools would.

        Raises:
            ParityError: as `measure`, for the logits of the masks.
        """
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        cases = self._cases[::_STANDARD_EVERY]
        found = []
        for ids, _ in cases:
            logits = session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0]
            found.append(logits[ids == self._mask_token_id])
        self._checked(found, cases, variant, path.name)

    @staticmethod
    def _checked(
        found: list[NDArray[np.float32]], cases: list[Case], variant: str, what: str
    ) -> Agreement:
        agreement = compare(
            np.concatenate(found).astype(np.float64),
            np.concatenate([logits for _, logits in cases]).astype(np.float64),
        )
        lowest = LOWEST_COSINE[variant]
        if not agreement.cosine >= lowest:  # also where it is not a number
            raise ParityError(
                variant,
                f"{what} does not answer as PyTorch does: the cosine of the logits is "
                f"{agreement.cosine:.5f}, must be {lowest} (largest difference "
                f"{agreement.largest_difference:.3g}); nothing was written. Leave this variant out",
                agreement.largest_difference,
                lowest,
            )
        return agreement


def compare(found: NDArray[np.float64], expected: NDArray[np.float64]) -> Agreement:
    """Compare two sets of logits, both (rows, classes), the second one PyTorch's."""
    length = float(np.linalg.norm(found) * np.linalg.norm(expected))
    p, q = _log_softmax(expected), _log_softmax(found)
    return Agreement(
        rows=len(expected),
        largest_difference=float(np.abs(found - expected).max()),
        cosine=float((found * expected).sum() / length) if length else 1.0,
        same_top=float((found.argmax(axis=1) == expected.argmax(axis=1)).mean()),
        kl=float((np.exp(p) * (p - q)).sum(axis=1).mean()),
    )


def _log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def _encoded(loaded: Loaded) -> Iterator[NDArray[np.int64]]:
    # -> (1, length) each
    for text in TEXTS:
        encoded = loaded.tokenizer(text, truncation=True, max_length=loaded.max_length)
        ids = np.array([encoded["input_ids"]], dtype=np.int64)
        if loaded.task != "fill-mask":
            yield ids
            continue
        for place in range(1, ids.shape[1] - 1, _MASK_EVERY):
            masked = ids.copy()
            masked[0, place] = loaded.tokenizer.mask_token_id
            yield masked
