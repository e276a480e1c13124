"""FP32 graphs to make smaller, and one way to run a graph."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from distilroberta.export import onnx_export
from distilroberta.export.checkpoint import load, task_of
from distilroberta.export.source import resolve

LAYERS = 2

Feeds = dict[str, NDArray[Any]]
Run = Callable[[onnx.ModelProto | Path, Feeds], Any]


@pytest.fixture(scope="session")
def run() -> Run:
    """Run a graph, in memory or in a file, on the CPU; return its first output."""

    def run_(model: onnx.ModelProto | Path, feeds: Feeds) -> Any:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        source = str(model) if isinstance(model, Path) else model.SerializeToString()
        session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        return session.run(None, feeds)[0]

    return run_


def _graphs(folder: Path) -> tuple[onnx.ModelProto, onnx.ModelProto | None, int | None]:
    checkpoint = resolve(str(folder))
    loaded = load(checkpoint, task_of(checkpoint))
    standard, served = onnx_export.export(loaded)
    mask_id = loaded.tokenizer.mask_token_id
    return standard.model, served.model if served else None, mask_id


@pytest.fixture(scope="session")
def _fill_mask(
    make_checkpoint: Callable[..., Path],
) -> tuple[onnx.ModelProto, onnx.ModelProto | None, int | None]:
    return _graphs(make_checkpoint("fill-mask", num_hidden_layers=LAYERS))


@pytest.fixture(scope="session")
def standard(_fill_mask: tuple[onnx.ModelProto, ...]) -> onnx.ModelProto:
    """The standard FP32 graph of a fill-mask model of two layers. Read only."""
    return _fill_mask[0]


@pytest.fixture(scope="session")
def served(_fill_mask: tuple[onnx.ModelProto, ...]) -> onnx.ModelProto:
    """The served FP32 graph of the same model. Read only."""
    return _fill_mask[1]


@pytest.fixture(scope="session")
def classifier_graph(make_checkpoint: Callable[..., Path]) -> onnx.ModelProto:
    """The FP32 graph of a text classification model of two layers. Read only."""
    return _graphs(make_checkpoint("text-classification", num_hidden_layers=LAYERS))[0]


@pytest.fixture(scope="session")
def feeds(_fill_mask: tuple[Any, Any, int]) -> Feeds:
    """Two rows of 12 tokens, the second with four of padding, three masks together."""
    ids = np.random.default_rng(0).integers(10, 250, size=(2, 12))
    ids[:, 0], ids[0, 11], ids[1, 7] = 0, 2, 2
    ids[0, 3] = ids[0, 9] = ids[1, 5] = _fill_mask[2]
    ids[1, 8:] = 1
    return {"input_ids": ids, "attention_mask": (ids != 1).astype(np.int64)}
