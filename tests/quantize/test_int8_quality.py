"""What INT8 costs on trained models: masked words, labels of texts and tags of words."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from scipy.special import log_softmax
from seqeval.metrics import f1_score
from transformers import AutoTokenizer

Row = list[int]
Open = Callable[[onnx.ModelProto], Any]
Pad = Callable[..., dict[str, NDArray[np.int64]]]
Quantize = Callable[..., Any]
Trained = Callable[[str], Any]
Logits = NDArray[np.float32]

pytestmark = pytest.mark.reality

BATCH = 16
SAME_TOP = 0.94
DIVERGENCE = 0.003
POINTS_LOST = 0.005


def batches(rows: Sequence[Row], batch: int = BATCH) -> Iterator[NDArray[np.int64]]:
    """Yield the places of rows of like length."""
    order = np.argsort([len(row) for row in rows], kind="stable")
    for start in range(0, len(rows), batch):
        yield order[start : start + batch]


@pytest.fixture(scope="session")
def pair(trained: Trained, int8_graphs: Quantize, open_graph: Open) -> Callable[[str], Any]:
    """A trained checkpoint's FP32 and INT8 sessions, and its tokenizer."""

    def pair_(name: str) -> tuple[list[Any], Any]:
        exported = trained(name)
        every = [exported.graphs, int8_graphs(exported, texts=None)]
        return [open_graph(graphs.served or graphs.standard) for graphs in every], exported

    return pair_


def test_masked_words(reality: Path, pair: Callable[[str], Any], pad: Pad) -> None:
    """600 sentences, one mask each, against FP32. Measured: 96% the same top token, KL 0.002."""
    (single, small), exported = pair("mlm")
    lines = (reality / "data" / "masked.tsv").read_text("utf-8").splitlines()
    rows = exported.tokenizer([line.split("\t")[0] for line in lines])["input_ids"]
    assert len(rows) == 600
    same, divergence = [], []
    for places in batches(rows):
        feeds = pad([rows[place] for place in places])
        wanted, found = (session.run(None, feeds)[0] for session in (single, small))
        assert len(wanted) == len(places)
        same.append(wanted.argmax(axis=1) == found.argmax(axis=1))
        p, q = (log_softmax(logits.astype(np.float64), axis=1) for logits in (wanted, found))
        divergence.append((np.exp(p) * (p - q)).sum(axis=1))
    same_top, kl = float(np.concatenate(same).mean()), float(np.concatenate(divergence).mean())
    assert same_top >= SAME_TOP
    assert 0 < kl <= DIVERGENCE


def test_labels_of_texts(reality: Path, pair: Callable[[str], Any], pad: Pad) -> None:
    sessions, exported = pair("sst2")
    lines = (reality / "data" / "sst2-dev.tsv").read_text("utf-8").splitlines()
    texts, labels = zip(*(line.split("\t") for line in lines), strict=True)
    rows = exported.tokenizer(list(texts))["input_ids"]
    right = np.zeros((2, len(rows)), dtype=bool)
    for places in batches(rows):
        feeds = pad([rows[place] for place in places])
        wanted = np.array([int(labels[place]) for place in places])
        for index, session in enumerate(sessions):
            right[index, places] = session.run(None, feeds)[0].argmax(axis=1) == wanted
    exact, found = right.mean(axis=1)
    assert exact == pytest.approx(0.858, abs=0.002)  # what the checkpoint came with
    assert found >= exact - POINTS_LOST


def sentences(path: Path) -> list[list[list[str]]]:
    blocks = path.read_text("utf-8").strip().split("\n\n")
    return [[line.split() for line in block.splitlines()] for block in blocks]


def test_tags_of_words(reality: Path, pair: Callable[[str], Any], pad: Pad) -> None:
    sessions, exported = pair("chunk")
    tokenizer = AutoTokenizer.from_pretrained(reality / "chunk", add_prefix_space=True)
    config = json.loads((exported.folder / "config.json").read_text("utf-8"))
    names = [config["id2label"][str(index)] for index in range(len(config["id2label"]))]
    given = sentences(reality / "data" / "chunk-dev.txt")
    encoded = tokenizer([[w[0] for w in one] for one in given], is_split_into_words=True)
    rows = encoded["input_ids"]
    tags: list[list[list[str]]] = [[[]] * len(rows) for _ in sessions]
    for places in batches(rows):
        feeds = pad([rows[place] for place in places])
        for index, session in enumerate(sessions):
            best = session.run(None, feeds)[0].argmax(axis=-1)
            for row, place in zip(best, places, strict=True):
                words = encoded.word_ids(int(place))
                first = [words.index(word) for word in range(len(given[place]))]
                tags[index][place] = [names[int(row[token])] for token in first]
    wanted = [[word[2] for word in one] for one in given]
    flat = np.array([*chain.from_iterable(wanted)])
    exact, found = (float((np.array([*chain.from_iterable(side)]) == flat).mean()) for side in tags)
    spans = [f1_score(wanted, side) for side in tags]
    assert exact == pytest.approx(0.972, abs=0.002)  # what the checkpoint came with
    assert found >= exact - POINTS_LOST
    assert spans[1] >= spans[0] - POINTS_LOST
