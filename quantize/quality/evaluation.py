"""Models of one task, run side by side on labelled data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from distilroberta.quantize.quality import BATCH_SIZE
from distilroberta.quantize.quality.agreement import AgreementTally
from distilroberta.quantize.quality.columns import Columns
from distilroberta.quantize.quality.errors import DataError, QualityError
from distilroberta.quantize.quality.examples import (
    Example,
    MaskedExample,
    QuestionExample,
    TextExample,
    TokensExample,
)
from distilroberta.quantize.quality.fill_mask import FillMask
from distilroberta.quantize.quality.labels import Labels, number
from distilroberta.quantize.quality.metrics import Metrics
from distilroberta.quantize.quality.question_answering import QuestionAnswering
from distilroberta.quantize.quality.readers import FORMATS, LabelOf, read
from distilroberta.quantize.quality.result import Result, Scores
from distilroberta.quantize.quality.task import Logits, Task, chunks
from distilroberta.quantize.quality.text_classification import TextClassification
from distilroberta.quantize.quality.token_classification import TokenClassification
from distilroberta.runtime import layout
from distilroberta.runtime.digest import sha256_of
from distilroberta.runtime.errors import ArtifactError, InputError
from distilroberta.runtime.tasks.model_config import ModelConfig
from distilroberta.runtime.tasks.pipeline import check_batch_size
from distilroberta.runtime.tasks.tokenizer import Tokenizer

# What readers and metrics import where they need it.
_NEEDED = ("pyarrow", "scipy", "seqeval", "sklearn")

# Token ids and a mask of real tokens, int64 (batch, length), to what `Session.run` returns.
Model = Callable[[NDArray[np.int64], NDArray[np.int64]], Any]
# Told how many of how many rows are done.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Candidate:
    """A model to score. `bytes` is the size of the files it runs from, None without any."""

    name: str
    model: Model
    bytes: int | None = None


def _silent(_: int, __: int) -> None:
    """Report progress to nobody."""


@dataclass(frozen=True)
class Prepared:
    """Labelled data as a model takes it, see `prepare`."""

    task: Task[Any]
    name: str
    tokenizer: Tokenizer
    data: Path
    left_out: int


def prepare(
    folder: Path,
    task: str,
    data: Path,
    *,
    data_format: str | None = None,
    columns: Columns | None = None,
    limit: int | None = None,
) -> Prepared:
    """Read and tokenize labelled data.

    Args:
        folder: an artifact's folder, for its tokenizer and config.json.
        task: the task, one of `readers.FORMATS`.
        data: the file; see `readers.read` for it and the arguments that go with it.
        data_format: its format.
        columns: its columns.
        limit: how many of its examples to take.

    Raises:
        InputError: an argument can't be used, or the `evaluate` extra is not installed.
        DataError: the data can't be read, or does not fit the task or the model.
        ArtifactError: the folder's tokenizer or config.json can't be read.
    """
    if task == "feature-extraction":
        raise InputError(
            "hidden states are right or wrong by no label, so feature-extraction can't be scored; "
            "`distilroberta info` tells how close each variant's are to FP32's. To score what is "
            f"made of them, build the checkpoint for one of {', '.join(FORMATS)}"
        )
    if task not in FORMATS:
        raise InputError(f"unknown task {task!r}: choose one of {', '.join(FORMATS)}")
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise InputError(
            f"evaluating needs the evaluate extra ({', '.join(missing)} missing): "
            "pip install 'distilroberta-onnx[evaluate]'"
        )
    config = ModelConfig.read(folder / layout.CONFIG)
    label_of = _label_of(folder, task, config)
    found = read(data, task, label_of, data_format=data_format, columns=columns, limit=limit)
    tokenizer = Tokenizer(folder, config)
    ready = _task(task, found.examples, folder, tokenizer, config)
    return Prepared(ready, task, tokenizer, data, found.left_out)


def measure(
    prepared: Prepared,
    candidates: Sequence[Candidate],
    *,
    reference: str | None,
    batch_size: int = BATCH_SIZE,
    progress: Progress = _silent,
) -> Result:
    """Score models, and compare them with one of them.

    Args:
        prepared: the data.
        candidates: the models, each with a name of its own.
        reference: the name of the one to compare the others with, None for none.
        batch_size: how many rows go through a model at once. Rows of like length go together. A
            variant that scales its activations by the batch answers a little differently with
            another size; 1 is what the runtime does unless told otherwise.
        progress: called after each batch.

    Returns:
        The scores, in the order of the candidates.

    Raises:
        InputError: the batch size is not a positive number.
        DataError: the data has no labels, and there is no reference.
        QualityError: a model's logits are not finite, or its answers have no score.
    """
    check_batch_size(batch_size)
    if prepared.task.main_metric is None and reference is None:
        raise DataError(
            f"{prepared.data} has no words, and there is no reference: nothing tells what is "
            "right; give data with the words that were masked, or compare with PyTorch"
        )
    scores = _score(prepared, candidates, reference, batch_size, progress)
    return Result(
        task=prepared.name,
        data=prepared.data.name,
        data_sha256=sha256_of(prepared.data),
        main_metric=prepared.task.main_metric,
        reference=reference,
        batch_size=batch_size,
        counts={**prepared.task.counts, "rows_left_out": prepared.left_out},
        scores=scores,
    )


def _is_regression(config: ModelConfig) -> bool:
    return config.problem_type == "regression" or len(config.id2label) == 1


def _label_of(folder: Path, task: str, config: ModelConfig) -> LabelOf:
    if task == "text-classification":
        regression = _is_regression(config)
        several = regression and len(config.id2label) > 1
        if several or config.problem_type == "multi_label_classification":
            raise InputError(
                f"{folder / layout.CONFIG}: the model gives a text several answers at once "
                f"({config.problem_type}), which can't be scored here"
            )
        if regression:
            return number
    if sorted(config.id2label) != list(range(len(config.id2label))):
        raise ArtifactError(
            f"{folder / layout.CONFIG}: id2label must name every label from 0 up, found "
            f"{sorted(config.id2label)}"
        )
    return Labels(config.id2label)


def _task(
    task: str,
    examples: Sequence[Example],
    folder: Path,
    tokenizer: Tokenizer,
    config: ModelConfig,
) -> Task[Any]:
    classes = len(config.id2label)
    if task == "text-classification":
        texts = cast("Sequence[TextExample]", examples)
        regression = _is_regression(config)
        return TextClassification(texts, tokenizer, classes, regression=regression)
    if task == "token-classification":
        sentences = cast("Sequence[TokensExample]", examples)
        names = [config.id2label[index] for index in range(classes)]
        path = folder / layout.TOKENIZER
        return TokenClassification(sentences, path, config.max_length, names)
    if task == "question-answering":
        questions = cast("Sequence[QuestionExample]", examples)
        return QuestionAnswering(questions, folder / layout.TOKENIZER, tokenizer)
    return FillMask(cast("Sequence[MaskedExample]", examples), tokenizer)


def _score(
    prepared: Prepared,
    candidates: Sequence[Candidate],
    reference: str | None,
    batch_size: int,
    progress: Progress,
) -> tuple[Scores, ...]:
    # All models run on a batch before the next one, so that no more logits than its own are kept.
    task = prepared.task
    tallies = {candidate.name: task.tally() for candidate in candidates}
    compared = [name for name in tallies if reference is not None and name != reference]
    agreements = {name: AgreementTally() for name in compared}
    # The longest first: what does not fit in memory shows at once.
    ordered = sorted(task.cases, key=lambda case: -len(case.ids))
    done = 0
    for batch in chunks(ordered, batch_size):
        ids, mask = prepared.tokenizer.pad([case.ids for case in batch])
        rows = {}
        for candidate in candidates:
            output = candidate.model(ids, mask)
            rows[candidate.name] = task.rows(batch, output)
            _check_finite(candidate.name, rows[candidate.name])
            tallies[candidate.name].add(batch, output)
        for name, agreement in agreements.items():
            for found, expected in zip(rows[name], rows[reference or ""], strict=True):
                agreement.add(found, expected)
        done += len(batch)
        progress(done, len(ordered))
    return tuple(
        Scores(
            name=one.name,
            bytes=one.bytes,
            metrics=_metrics(one.name, tallies[one.name].metrics),
            agreement=agreements[one.name].result() if one.name in agreements else None,
        )
        for one in candidates
    )


def _check_finite(name: str, blocks: Sequence[Logits]) -> None:
    if not all(np.isfinite(block).all() for block in blocks):
        raise QualityError(
            name, f"{name} gives logits that are not finite: it can't be used; leave it out"
        )


def _metrics(name: str, metrics: Callable[[], Metrics]) -> Metrics:
    try:
        return metrics()
    except ValueError as error:
        raise QualityError(name, f"{name} has no score: {error}") from error
