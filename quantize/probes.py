"""The probe texts of a build, and how close a variant's answers to them are to the reference's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distilroberta.quantize import run
from distilroberta.quantize.errors import AgreementError
from distilroberta.quantize.quality.agreement import log_softmax
from distilroberta.runtime.execution.session import Session
from distilroberta.runtime.manifest import Agreement
from distilroberta.runtime.tasks.tokenizer import Tokenizer

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

# The standard graph of a variant has the served one's weights: fewer probes tell if it is right.
_STANDARD_EVERY = 8

# (rows, classes): the logits of one probe, or the hidden states of its tokens.
Rows = NDArray[np.float64]
# Token ids and mask, (1, length) both, to what a served graph answers.
Answer = Callable[[NDArray[np.int64], NDArray[np.int64]], Any]


class Probes:
    """The probe texts as token ids, each with the reference's logits."""

    def __init__(self, tokenizer: Tokenizer, task: str, answer: Answer) -> None:
        """Tokenize the texts and ask the reference: PyTorch, or a graph that was checked."""
        self._mask_token_id = tokenizer.mask_token_id
        self._compare = compare_hidden_states if task == "feature-extraction" else compare
        # Token ids, (1, length), and the reference's logits.
        self._cases: list[tuple[NDArray[np.int64], Rows]] = [
            (ids, _rows(answer(ids, np.ones_like(ids)))) for ids in _encoded(tokenizer, task)
        ]

    def measure(self, session: Session, lowest: float) -> Agreement:
        """Run a variant on each probe by itself and compare what it gives.

        Raises:
            AgreementError: that is not finite, or its cosine to the reference's is below `lowest`.
        """
        found = [_rows(session.run(ids, np.ones_like(ids))) for ids, _ in self._cases]
        expected = [logits for _, logits in self._cases]
        agreement = self._compare(found, expected)
        _check(agreement, lowest, f"variant {session.variant}")
        return agreement

    def check_standard(self, path: Path, lowest: float) -> None:
        """Run a fill-mask graph with logits for every token on some probes, as other tools would.

        Raises:
            AgreementError: as `measure`, for the logits of the masks.
            QuantizationError: onnxruntime can't load or run it.
        """
        session = run.load(path)
        cases = self._cases[::_STANDARD_EVERY]
        found = []
        for ids, _ in cases:
            feed = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
            logits = run.outputs(session, feed)[0]
            found.append(_rows(logits[ids == self._mask_token_id]))
        _check(compare(found, [logits for _, logits in cases]), lowest, path.name)


def compare(found: Sequence[Rows], expected: Sequence[Rows]) -> Agreement:
    """Compare two lists of logits, (rows, classes) each, the second one the reference's."""
    same, kl = [], []
    for ours, theirs in zip(found, expected, strict=True):
        same.append(ours.argmax(axis=1) == theirs.argmax(axis=1))
        p, q = log_softmax(theirs), log_softmax(ours)
        kl.append((np.exp(p) * (p - q)).sum(axis=1))
    return Agreement(
        **_of_all(found, expected),
        same_top=float(np.concatenate(same).mean()),
        kl=float(np.concatenate(kl).mean()),
    )


def compare_hidden_states(found: Sequence[Rows], expected: Sequence[Rows]) -> Agreement:
    """Compare two lists of hidden states, (tokens, hidden) each, the second one the reference's."""
    ours, theirs = np.concatenate(found), np.concatenate(expected)
    spread = float(np.linalg.norm(theirs - theirs.mean(axis=0)))
    return Agreement(
        **_of_all(found, expected),
        same_top=None,
        kl=None,
        worst_cosine=float(_cosines(ours, theirs).min()),
        relative_error=float(np.linalg.norm(ours - theirs)) / (spread or 1),
    )


def _of_all(found: Sequence[Rows], expected: Sequence[Rows]) -> dict[str, Any]:
    # What is measured of all values taken as one vector.
    ours, theirs = (np.concatenate([one.ravel() for one in side]) for side in (found, expected))
    return {
        "rows": sum(map(len, expected)),
        "largest_difference": float(np.abs(ours - theirs).max()),
        "cosine": float(_cosines(ours, theirs)),
    }


def _cosines(found: Rows, expected: Rows) -> Rows:
    # Over the last axis; 1 where either side is 0.
    lengths = np.linalg.norm(found, axis=-1) * np.linalg.norm(expected, axis=-1)
    products = (found * expected).sum(axis=-1)
    return np.asarray(np.where(lengths == 0, 1, products / np.where(lengths == 0, 1, lengths)))


def _check(agreement: Agreement, lowest: float, what: str) -> None:
    if not agreement.cosine >= lowest:  # also where it is not a number
        raise AgreementError(
            f"{what} does not answer as FP32 does: the cosine of its output is "
            f"{agreement.cosine:.5f}, must be {lowest} (largest difference "
            f"{agreement.largest_difference:.3g}); nothing was written. Leave this variant out"
        )


def _rows(output: Any) -> Rows:
    # The logits of masks, of a text, or of every token; the starts and the ends of an answer; the
    # hidden states of every token.
    if isinstance(output, tuple):
        return np.concatenate(output).astype(np.float64)
    return np.asarray(output, dtype=np.float64).reshape(-1, output.shape[-1])


def _encoded(tokenizer: Tokenizer, task: str) -> Iterator[NDArray[np.int64]]:
    # -> (1, length) each
    for encoding in tokenizer.encode(TEXTS):
        ids = np.array([encoding.ids], dtype=np.int64)
        if task != "fill-mask":
            yield ids
            continue
        assert tokenizer.mask_token_id is not None
        for place in range(1, ids.shape[1] - 1, _MASK_EVERY):
            masked = ids.copy()
            masked[0, place] = tokenizer.mask_token_id
            yield masked
