"""FP32 graphs to make smaller, batches for them, and one way to run a graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
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
from distilroberta.quantize import feeds as feeds_of
from distilroberta.quantize import int8, recipe
from distilroberta.quantize.calibration_text import Texts
from distilroberta.quantize.options import Options
from distilroberta.quantize.variants import Graphs
from distilroberta.runtime.tasks.model_config import ModelConfig
from distilroberta.runtime.tasks.tokenizer import Tokenizer

LAYERS = 2

Feeds = dict[str, NDArray[Any]]
Session = onnxruntime.InferenceSession
Open = Callable[[onnx.ModelProto | Path], Session]
Run = Callable[[onnx.ModelProto | Path, Feeds], Any]
Pad = Callable[..., Feeds]


@dataclass(frozen=True, eq=False)
class Exported:
    """The FP32 graphs of a checkpoint folder, and its transformers tokenizer."""

    folder: Path
    task: str
    graphs: Graphs
    tokenizer: Any


# Exports a checkpoint folder, once in a session.
Export = Callable[[Path], Exported]
# Makes the INT8 graphs of an export: `quantize(exported, target, texts)`, once in a session.
Quantize = Callable[..., Graphs]


@pytest.fixture(scope="session")
def open_graph() -> Open:
    """Load a graph, in memory or in a file, on the CPU; one thread."""

    def open_(model: onnx.ModelProto | Path) -> Session:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        source = str(model) if isinstance(model, Path) else model.SerializeToString()
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])

    return open_


@pytest.fixture(scope="session")
def run(open_graph: Open) -> Run:
    """Run a graph, in memory or in a file, on the CPU; return its first output."""

    def run_(model: onnx.ModelProto | Path, feeds: Feeds) -> Any:
        return open_graph(model).run(None, feeds)[0]

    return run_


@pytest.fixture(scope="session")
def pad() -> Pad:
    """Make a batch of rows of ids: `pad(rows, columns)`, with columns of padding at the end."""

    def pad_(rows: Sequence[Sequence[int]], columns: int = 0) -> Feeds:
        ids = np.ones((len(rows), max(map(len, rows)) + columns), dtype=np.int64)
        for row, given in zip(ids, rows, strict=True):
            row[: len(given)] = given
        return {"input_ids": ids, "attention_mask": (ids != 1).astype(np.int64)}

    return pad_


@pytest.fixture(scope="session")
def export() -> Export:
    """Export a checkpoint folder's FP32 graphs, once in a session. Read only."""

    @cache
    def export_(folder: Path) -> Exported:
        checkpoint = resolve(str(folder))
        loaded = load(checkpoint, task_of(checkpoint))
        standard, served = onnx_export.export(loaded)
        graphs = Graphs(standard.model, served.model if served is not None else None)
        return Exported(folder, loaded.task, graphs, loaded.tokenizer)

    return export_


@pytest.fixture(scope="session")
def _fill_mask(make_checkpoint: Callable[..., Path], export: Export) -> Exported:
    return export(make_checkpoint("fill-mask", num_hidden_layers=LAYERS))


@pytest.fixture(scope="session")
def standard(_fill_mask: Exported) -> onnx.ModelProto:
    """The standard FP32 graph of a fill-mask model of two layers. Read only."""
    return _fill_mask.graphs.standard


@pytest.fixture(scope="session")
def served(_fill_mask: Exported) -> onnx.ModelProto:
    """The served FP32 graph of the same model. Read only."""
    assert _fill_mask.graphs.served is not None
    return _fill_mask.graphs.served


@pytest.fixture(scope="session")
def classifier_graph(make_checkpoint: Callable[..., Path], export: Export) -> onnx.ModelProto:
    """The FP32 graph of a text classification model of two layers. Read only."""
    return export(make_checkpoint("text-classification", num_hidden_layers=LAYERS)).graphs.standard


@pytest.fixture(scope="session")
def feeds(_fill_mask: Exported) -> Feeds:
    """Two rows of 12 tokens, the second with four of padding, three masks together."""
    ids = np.random.default_rng(0).integers(10, 250, size=(2, 12))
    ids[:, 0], ids[0, 11], ids[1, 7] = 0, 2, 2
    ids[0, 3] = ids[0, 9] = ids[1, 5] = _fill_mask.tokenizer.mask_token_id
    ids[1, 8:] = 1
    return {"input_ids": ids, "attention_mask": (ids != 1).astype(np.int64)}


# The smallest shape all of whose products have the columns that quantization asks for.
WIDE = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": LAYERS}


@pytest.fixture(scope="session")
def wide_fill_mask(make_checkpoint: Callable[..., Path], export: Export) -> Exported:
    """A fill-mask model all of whose products are quantized. Read only."""
    return export(make_checkpoint("fill-mask", **WIDE))


@pytest.fixture(scope="session")
def wide_classifier(make_checkpoint: Callable[..., Path], export: Export) -> Exported:
    """A text classification model of that shape, with three labels. Read only."""
    return export(make_checkpoint("text-classification", num_labels=3, **WIDE))


@pytest.fixture(scope="session")
def wide_tagger(make_checkpoint: Callable[..., Path], export: Export) -> Exported:
    """A token classification model of that shape, with five labels. Read only."""
    return export(make_checkpoint("token-classification", num_labels=5, **WIDE))


@pytest.fixture(scope="session")
def wide_answerer(make_checkpoint: Callable[..., Path], export: Export) -> Exported:
    """A question answering model of that shape. Read only."""
    return export(make_checkpoint("question-answering", **WIDE))


@pytest.fixture(scope="session")
def wide_embedder(make_checkpoint: Callable[..., Path], export: Export) -> Exported:
    """A model of that shape without a head. Read only."""
    return export(make_checkpoint("feature-extraction", **WIDE))


@pytest.fixture(scope="session")
def calibration() -> Callable[..., list[Feeds]]:
    """Make the batches that a build observes: `calibration(exported, texts)`, all by default."""

    def calibration_(exported: Exported, texts: int | None = None) -> list[Feeds]:
        tokenizer = Tokenizer(exported.folder, ModelConfig.read(exported.folder / "config.json"))
        return list(islice(feeds_of.Feeds(tokenizer, exported.task, Texts()), texts))

    return calibration_


@pytest.fixture(scope="session")
def int8_graphs(calibration: Callable[..., list[Feeds]]) -> Quantize:
    """Make the INT8 graphs of an export, once in a session. Read only."""

    @cache
    def quantize(exported: Exported, target: str = "portable", texts: int | None = 12) -> Graphs:
        standard, served = exported.graphs.standard, exported.graphs.served
        prepared = int8.prepare(standard, calibration(exported, texts), Options(target=target))
        return Graphs(
            recipe.apply(prepared, standard, "one"),
            recipe.apply(prepared, served, "two") if served is not None else None,
        )

    return quantize


@pytest.fixture(scope="session")
def many(wide_fill_mask: Any) -> dict[str, NDArray[Any]]:
    """Rows of twelve tokens with a mask each: a classifier gives few logits for a row."""
    ids = np.random.default_rng(0).integers(10, 250, size=(64, 12))
    ids[:, 0], ids[:, 11] = 0, 2
    ids[:, 5] = wide_fill_mask.tokenizer.mask_token_id
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}


@pytest.fixture(scope="session")
def trained(reality: Path, export: Export) -> Callable[[str], Exported]:
    """Export a trained checkpoint: `mlm`, `sst2` or `chunk`. Read only."""
    return lambda name: export(reality / name)
