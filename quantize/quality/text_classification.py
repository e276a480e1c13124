"""Texts and pairs of texts: the label with the highest logit, or the number of a regression."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from distilroberta.quantize.quality import metrics
from distilroberta.quantize.quality.errors import DataError
from distilroberta.quantize.quality.examples import TextExample
from distilroberta.quantize.quality.metrics import Metrics
from distilroberta.quantize.quality.task import Case, Logits, Tally, Task, chunks, integers
from distilroberta.runtime.tasks.tokenizer import Tokenizer


class TextClassification(Task[Case]):
    """Texts with labels. One that is too long for the model is cut, as the runtime cuts it."""

    def __init__(
        self,
        examples: Sequence[TextExample],
        tokenizer: Tokenizer,
        classes: int,
        *,
        regression: bool,
    ) -> None:
        """Tokenize the texts. `classes` is the number of labels.

        Raises:
            DataError: it is a regression, and all labels are the same number.
        """
        self._labels = [example.label for example in examples]
        if regression and len(set(self._labels)) == 1:
            raise DataError(
                f"{examples[0].where}: the label is {self._labels[0]:g}, as all others are; a "
                "correlation needs different ones"
            )
        self._classes = classes
        self._regression = regression
        self.cases: list[Case] = []
        cut = 0
        for chunk in chunks(examples):
            texts = [one.text if one.pair is None else (one.text, one.pair) for one in chunk]
            for encoding in tokenizer.encode(texts):
                self.cases.append(Case(len(self.cases), integers(encoding.ids)))
                cut += bool(encoding.overflowing)
        self.counts = {"texts": len(examples), "texts_cut": cut}
        self.main_metric = "spearman" if regression else "accuracy"

    def rows(self, batch: Sequence[Case], output: Logits) -> list[Logits]:
        """Return the logits, (batch, labels), as they are."""
        return [output]

    def tally(self) -> _Answers:
        """Return a tally of answers."""
        return _Answers(self._labels, self._classes, regression=self._regression)


class _Answers(Tally[Case]):
    def __init__(self, labels: Sequence[float], classes: int, *, regression: bool) -> None:
        self._labels, self._classes, self._regression = labels, classes, regression
        self._found: list[float] = [0] * len(labels)

    def add(self, batch: Sequence[Case], output: Logits) -> None:
        answers = output[:, 0] if self._regression else output.argmax(axis=1)
        for case, answer in zip(batch, answers.tolist(), strict=True):
            self._found[case.example] = answer

    def metrics(self) -> Metrics:
        found, labels = np.array(self._found), np.array(self._labels)
        if self._regression:
            return metrics.regression(found, labels)
        return metrics.classification(found, labels, self._classes)
