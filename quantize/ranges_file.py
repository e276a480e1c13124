"""Ranges in a file, to be found once and used again.

JSON: what it is, a version, the model the ranges are of, the method, the number of texts, and three
numbers for each channel of what each product reads. The ranges of one model are wrong for another
of the same shape, so the model is told by its weights.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from distilroberta.quantize import products
from distilroberta.quantize.errors import QuantizationError
from distilroberta.quantize.options import METHODS, check_place
from distilroberta.quantize.ranges import Range, Ranges
from distilroberta.quantize.smoothing import Vector
from distilroberta.runtime.errors import InputError

_FORMAT = "distilroberta ranges"
VERSION = 1
_ENDS = ("low", "high", "mean")


def digest(graph: onnx.GraphProto, weights: Iterable[str]) -> str:
    """Return the SHA-256 of the names, shapes and values of weights, in hexadecimal."""
    found = hashlib.sha256()
    for name in sorted(weights):
        values = products.matrix(graph, name)
        found.update(f"{name} {values.shape}\n".encode())
        found.update(values.astype("<f4").tobytes())
    return found.hexdigest()


def save(path: Path, ranges: Ranges, graph: onnx.GraphProto) -> None:
    """Write ranges; a file that is there is replaced, and stays as it was if that fails.

    Args:
        path: the file.
        ranges: what to write.
        graph: the FP32 graph they were found on.

    Raises:
        InputError: there is no place for it, see `options.check_place`.
        QuantizationError: the disk is full, or fails in another way.
    """
    check_place(path)
    tree = {
        "format": _FORMAT,
        "version": VERSION,
        "model": digest(graph, ranges.of),
        "method": ranges.method,
        "texts": ranges.texts,
        "ranges": {
            name: {end: _numbers(getattr(one, end)) for end in _ENDS}
            for name, one in ranges.of.items()
        },
    }
    written = path.with_name(f".{path.name}.new")
    try:
        written.write_text(json.dumps(tree, allow_nan=False) + "\n", "utf-8")
        os.replace(written, path)
    except OSError as error:
        raise QuantizationError(f"{path} can't be written: {error.strerror}") from error
    finally:
        written.unlink(missing_ok=True)


def load(path: Path, graph: onnx.GraphProto, channels: Mapping[str, int]) -> Ranges:
    """Read ranges that `save` wrote.

    Args:
        path: the file.
        graph: an FP32 graph, of the same model.
        channels: of how many channels there must be ranges, by the name of the weight.

    Raises:
        InputError: it can't be read, is no such file, or is of another model.
    """
    try:
        tree = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON, so no file of ranges: {error}") from error
    if not isinstance(tree, dict) or tree.get("format") != _FORMAT:
        raise InputError(f"{path} is no file of ranges: --save-ranges writes one")
    if tree.get("version") != VERSION:
        raise InputError(
            f"{path} has version {tree.get('version')!r}, this release reads {VERSION}: find the "
            "ranges again with --save-ranges"
        )
    if tree.get("model") != digest(graph, channels):
        raise InputError(
            f"{path} holds the ranges of a model with other weights: find those of this one with "
            "--save-ranges"
        )
    try:
        return _ranges(tree, channels)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(
            f"{path} is damaged ({error!r}): find the ranges again with --save-ranges"
        ) from error


def _ranges(tree: dict[str, Any], channels: Mapping[str, int]) -> Ranges:
    method, texts = tree["method"], int(tree["texts"])
    if method not in METHODS:
        raise ValueError(f"method {method!r}")
    found = {}
    for name, ends in tree["ranges"].items():
        low, high, mean = (_vector(ends[end]) for end in _ENDS)
        if not (low.shape == high.shape == mean.shape == (channels[name],) and (low <= high).all()):
            raise ValueError(f"the range of {name}")
        found[name] = Range(low, high, mean)
    if found.keys() != channels.keys():
        raise ValueError("a range is missing")
    return Ranges(method, texts, found)


def _vector(numbers: list[float]) -> Vector:
    with np.errstate(over="ignore"):  # infinite then, which is told below
        vector = np.array(numbers, np.float32)
    if not np.isfinite(vector).all():
        raise ValueError("a number that is not finite")
    return vector


def _numbers(vector: Vector) -> list[float]:
    # The shortest decimals that are read as the same float32.
    return [float(str(value)) for value in vector]
