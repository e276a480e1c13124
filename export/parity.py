"""Is an exported FP32 graph the PyTorch model? Names, axes, shapes, values, in this order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distilroberta.export.checkpoint import Loaded
from distilroberta.export.errors import ParityError
from distilroberta.export.onnx_export import INPUTS, TOKENS, Outputs
from distilroberta.export.reference import Reference
from distilroberta.runtime.execution.ort import onnxruntime

# The largest absolute difference of an FP32 logit or hidden state. Kernels sum in another order
# than PyTorch's, which moves a logit of a trained model by some 1e-5.
TOLERANCE = 1e-4

# (batch, length): one text and several, odd lengths, and the longest there is.
_SHAPES = ((1, 8), (2, 17), (3, 64), (2, None))


def check(path: Path, loaded: Loaded, *, served: bool, outputs: Outputs, what: str) -> float:
    """Compare a graph's file with PyTorch at several (batch, length) pairs, with padding.

    Args:
        path: the graph.
        loaded: the checkpoint it was exported from.
        served: whether its output is that of a served graph.
        outputs: the outputs it must have.
        what: names the graph in errors.

    Returns:
        The largest absolute difference of a value.

    Raises:
        ParityError: a name, an axis, a shape or a value differs.
    """
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    _check_names(session, list(outputs), what)
    _check_axes(session, outputs, what)
    reference = Reference(loaded)
    largest = 0.0
    for batch, length in _SHAPES:
        ids, mask = _example(loaded, batch, length)
        found = session.run(None, {"input_ids": ids, "attention_mask": mask})
        expected = (reference.served if served else reference.standard)(ids, mask)
        if not isinstance(expected, tuple):
            expected = (expected,)
        for name, ours, theirs in zip(outputs, found, expected, strict=True):
            where = f"{what}, output {name}, batch {batch}, length {ids.shape[1]}"
            if ours.shape != theirs.shape:
                raise ParityError(
                    name, f"{where}: shape is {ours.shape}, PyTorch's is {theirs.shape}"
                )
            if outputs[name] == TOKENS:  # what a graph gives for padding is nobody's answer
                ours, theirs = ours[mask == 1], theirs[mask == 1]
            largest = max(largest, _check_values(ours, theirs, name, where))
    return largest


def _check_names(session: Any, outputs: list[str], what: str) -> None:
    for kind, found, expected in (
        ("inputs", session.get_inputs(), list(INPUTS)),
        ("outputs", session.get_outputs(), outputs),
    ):
        names = [value.name for value in found]
        if names != expected:
            raise ParityError(kind, f"{what}: {kind} are {names}, must be {expected}")


def _check_axes(session: Any, outputs: Outputs, what: str) -> None:
    wanted = {**INPUTS, **outputs}
    for value in (*session.get_inputs(), *session.get_outputs()):
        axes = {i: size for i, size in enumerate(value.shape) if not isinstance(size, int)}
        if axes != wanted[value.name]:
            raise ParityError(
                value.name,
                f"{what}: the dynamic axes of {value.name} are {axes}, must be "
                f"{wanted[value.name]}",
            )


def _check_values(
    found: NDArray[np.float32], expected: NDArray[np.float32], name: str, where: str
) -> float:
    difference = float(np.abs(found - expected).max())
    if not difference <= TOLERANCE:  # also where it is not a number
        raise ParityError(
            name,
            f"{where}: a value differs from PyTorch's by {difference:.3g}, the tolerance is "
            f"{TOLERANCE:.3g}; nothing was written",
            difference,
            TOLERANCE,
        )
    return difference


def _example(
    loaded: Loaded, batch: int, length: int | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    # Random tokens between <s> and </s>, rows of different lengths, and another number of masks
    # in each row.
    config: Any = loaded.model.config
    tokenizer: Any = loaded.tokenizer
    length = min(length or loaded.max_length, loaded.max_length)
    random = np.random.default_rng(length)
    special = set(tokenizer.all_special_ids)
    ordinary = np.array([i for i in range(config.vocab_size) if i not in special])
    ids = random.choice(ordinary, size=(batch, length)).astype(np.int64)
    mask = np.ones_like(ids)
    for row in range(batch):
        end = length - row * length // 4  # up to half of a row is padding
        ids[row, 0], ids[row, end - 1] = tokenizer.cls_token_id, tokenizer.sep_token_id
        ids[row, end:], mask[row, end:] = config.pad_token_id, 0
        if tokenizer.mask_token_id is not None:
            places = random.choice(np.arange(1, end - 1), size=batch - row, replace=False)
            ids[row, places] = tokenizer.mask_token_id
    return ids, mask
