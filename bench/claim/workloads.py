"""What both models are run on: the cells, and what their answers are compared on before that.

Comparing runs PyTorch in this process, and each engine once. So it is done on cells of at most so
many tokens in all, for classification more than for fill-mask, whose logits are many for each
token; where all cells have more, on one text of the shortest length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from distilroberta.bench.claim.models import CLASSIFICATION, Models
from distilroberta.bench.claim.terms import BASE, DISTIL
from distilroberta.bench.harness.workload import Shape, Workload
from distilroberta.bench.models import texts
from distilroberta.bench.models.checked_shapes import checked_shapes
from distilroberta.runtime import layout
from distilroberta.runtime.tasks.model_config import ModelConfig

_MOST_TOKENS = {CLASSIFICATION: 4096}
_MOST_TOKENS_OF_OTHERS = 512


@dataclass(frozen=True)
class TaskWorkloads:
    """The workloads of a task.

    `cells` are timed, `checked` compared with PyTorch; `single` is one text of each length, whose
    operations are counted. `vocabularies` are the models' numbers of words, DistilRoBERTa's first.
    """

    cells: tuple[Workload, ...]
    checked: tuple[Workload, ...]
    single: tuple[Workload, ...]
    vocabularies: tuple[int, int]


def of_task(models: Models, task: str, shapes: Sequence[Shape]) -> TaskWorkloads:
    """Make the workloads of a task, and the checkpoints whose tokenizer and limits they follow.

    Raises:
        InputError: a length is none that both models take, or a checkpoint has not the task.
        DistilRobertaError: a checkpoint can't be used.
    """
    folders = [models.checkpoint(side, task) for side in (DISTIL, BASE)]
    distil, base = (ModelConfig.read(folder / layout.CONFIG) for folder in folders)
    longest = min(distil.max_length, base.max_length)

    def made(wanted: Sequence[Shape]) -> tuple[Workload, ...]:
        return tuple(texts.workloads(folders[0] / layout.TOKENIZER, wanted, longest))

    lengths = sorted({shape.tokens for shape in shapes})
    most = _MOST_TOKENS.get(task, _MOST_TOKENS_OF_OTHERS)
    small = [shape for shape in shapes if shape.rows * shape.tokens <= most]
    labels = min(len(distil.id2label), len(base.id2label))
    return TaskWorkloads(
        made(shapes),
        made(checked_shapes(task, labels, small or [Shape(1, lengths[0])])),
        made([Shape(1, length) for length in lengths]),
        (distil.vocab_size, base.vocab_size),
    )
