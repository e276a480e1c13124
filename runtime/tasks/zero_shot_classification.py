"""Zero-shot classification: which of any labels fit a text, by a model of entailment.

Each label is put into a sentence, the hypothesis, and the model says how well the text entails it
(Yin et al. 2019, https://arxiv.org/abs/1909.00161). The model is a text classifier that was trained
on natural language inference.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tokenizers
from numpy.typing import NDArray

from distilroberta.runtime import layout
from distilroberta.runtime.artifact import Artifact
from distilroberta.runtime.checks import flag, items, plain, shown
from distilroberta.runtime.errors import ArtifactError, InputError
from distilroberta.runtime.tasks.model_config import read_json
from distilroberta.runtime.tasks.pipeline import Pipeline, Request
from distilroberta.runtime.tasks.scores import softmax

_TEMPLATE = "This example is {}."
# How the label begins, in any case, that says that a text entails a hypothesis.
_ENTAILMENT = "entail"
# How much of a label a message shows.
_SHOWN = 40


class _Call(NamedTuple):
    labels: list[str]
    hypotheses: list[str]
    multi_label: bool


class ZeroShotClassificationPipeline(Pipeline):
    """Scores labels, with the results of the transformers pipeline of the same name.

    It runs on an artifact built for text-classification, one of whose labels begins with "entail"
    in upper or lower case. transformers takes the last label where there is none.
    """

    task = "zero-shot-classification"
    # The hypothesis stays whole.
    truncation = "only_first"

    def __init__(
        self,
        artifact: Artifact,
        *,
        variant: str = "auto",
        provider: Any = "auto",
        threads: int | None = None,
        candidate_labels: str | Sequence[str] | None = None,
        hypothesis_template: str = _TEMPLATE,
        multi_label: bool = False,
        batch_size: int | None = None,
    ) -> None:
        """Load the pipeline. The last four arguments are the defaults of a call.

        Raises:
            InputError: the model has no label for entailment.
            As `Pipeline`.
        """
        # Read once: an iterator is empty afterwards.
        labels = None if candidate_labels is None else _candidates(candidate_labels)
        super().__init__(
            artifact,
            variant=variant,
            provider=provider,
            threads=threads,
            batch_size=batch_size,
            candidate_labels=labels,
            hypothesis_template=hypothesis_template,
            multi_label=multi_label,
        )
        self._entailment = self._entailment_id()
        # As transformers has it, also where that is not what the label's name says.
        self._contradiction = -1 if self._entailment == 0 else 0
        self._special_tokens = len(self.tokenizer.encode([("", "")])[0].ids)
        self._candidate_labels = labels
        self._hypothesis_template = _template(hypothesis_template)
        self._multi_label = flag("multi_label", multi_label)
        if labels is not None:
            self._hypotheses(labels, self._hypothesis_template)

    def __call__(
        self,
        sequences: str | Iterable[str],
        candidate_labels: str | Sequence[str] | None = None,
        *,
        hypothesis_template: str | None = None,
        multi_label: bool | None = None,
        batch_size: int | None = None,
    ) -> Any:
        """Score labels for one text, or for many.

        Args:
            sequences: a text; a list of texts; or any other iterable of texts, which is answered
                lazily. One that is too long is cut, so that the hypothesis fits behind it.
            candidate_labels: the labels, or a string of them with commas between. They may be left
                out where the pipeline was loaded with some.
            hypothesis_template: makes a hypothesis of a label, which goes where {} or {0} stands;
                {{ and }} stand for braces. "This example is {}." unless said otherwise.
            multi_label: score each label by itself: its entailment against its contradiction. By
                default the scores of all labels add up to 1. A single label is always scored by
                itself.
            batch_size: how many pairs of a text and a label go through the graph at once; None
                packs pairs of about the same length, which is fastest.

        Returns:
            For a text `{"sequence", "labels", "scores"}`, with the labels and their scores best
            first; for a list of texts a list of these, for another iterable an iterator over them.

        Raises:
            InputError: an input is no text; there are no labels; a template has no place for one; a
                hypothesis leaves no room for a text; another parameter can't be used.
        """
        labels = (
            self._candidate_labels if candidate_labels is None else _candidates(candidate_labels)
        )
        if labels is None:
            raise InputError('give candidate_labels, such as ["sports", "politics"]')
        template = (
            self._hypothesis_template
            if hypothesis_template is None
            else _template(hypothesis_template)
        )
        call = _Call(
            labels,
            self._hypotheses(labels, template),
            self._multi_label if multi_label is None else flag("multi_label", multi_label),
        )
        return self._dispatch(sequences, call, batch_size)

    def _entailment_id(self) -> int:
        names = self._labels()
        # A config may name the labels twice. transformers goes by label2id here.
        given = read_json(self.artifact.file(layout.CONFIG)).get("label2id")
        ids = given if isinstance(given, Mapping) else {label: i for i, label in names.items()}
        for label, index in ids.items():
            if not label.lower().startswith(_ENTAILMENT):
                continue
            if isinstance(index, bool) or not isinstance(index, int) or index not in names:
                raise ArtifactError(
                    f"{self.artifact.path}: label2id in config.json gives {label!r} the id "
                    f"{index!r}, which id2label does not have"
                )
            return index
        raise InputError(
            f"{self.artifact.path} has no label that begins with {_ENTAILMENT!r} (it has "
            f"{', '.join(ids)}): {self.task} needs a model of natural language inference"
        )

    def _hypotheses(self, labels: Sequence[str], template: str) -> list[str]:
        hypotheses = [template.format(label) for label in labels]
        for label, hypothesis in zip(labels, hypotheses, strict=True):
            try:
                self.tokenizer.check(hypothesis)
            except InputError as error:
                raise InputError(f"the hypothesis for label {label!r} {error}") from error
        room = self.tokenizer.max_length - self._special_tokens
        encodings = self.tokenizer.encode(hypotheses, special_tokens=False)
        for label, encoding in zip(labels, encodings, strict=True):
            if len(encoding.ids) >= room:  # of one that is longer, what is beyond the model is cut
                raise InputError(
                    f"the hypothesis for label {_short(label)!r} has {room} tokens or more, which "
                    "leaves no room for a text: shorten the label or hypothesis_template"
                )
        return hypotheses

    def _texts(self, item: Any, call: _Call) -> Sequence[tuple[str, str]]:
        if not isinstance(item, str):
            raise InputError(f"must be a string, found {type(item).__name__}")
        return [(item, hypothesis) for hypothesis in call.hypotheses]

    def _request(
        self,
        texts: Sequence[tuple[str, str]],
        encodings: Sequence[tokenizers.Encoding],
        call: _Call,
    ) -> Request:
        return Request([encoding.ids for encoding in encodings], plain(texts[0][0]))

    def _reduce(self, request: Request, row: int, output: NDArray[np.float32], call: _Call) -> Any:
        # output: (labels of the model,) -> contradiction and entailment
        return output[[self._contradiction, self._entailment]]

    def _combine(self, request: Request, reduced: list[Any], call: _Call) -> Any:
        logits = np.stack(reduced)  # (candidate labels, 2)
        alone = call.multi_label or len(call.labels) == 1
        scores = softmax(logits)[:, 1] if alone else softmax(logits[:, 1])
        best = scores.argsort()[::-1]  # of equal scores the last label first, as transformers does
        return {
            "sequence": request.source,
            "labels": [call.labels[index] for index in best.tolist()],
            "scores": scores[best].tolist(),
        }


def _candidates(given: Any) -> list[str]:
    labels: list[Any] | None
    if isinstance(given, str):
        labels = [label.strip() for label in given.split(",") if label.strip()]
    else:
        labels = None if isinstance(given, (bytes, Mapping)) else items(given)
    if labels is None:
        raise InputError(
            f"candidate_labels must be strings, or one with commas between, found {shown(given)}"
        )
    for label in labels:
        if not isinstance(label, str):
            raise InputError(f"candidate_labels must be strings, found {shown(label)}")
    if not labels:
        raise InputError("candidate_labels holds no label: give at least one")
    return [plain(label) for label in labels]


def _template(given: Any) -> str:
    # Of a format string no more than where the label goes: a width could ask for any memory, and an
    # attribute is no text.
    if not isinstance(given, str):
        raise InputError(f"hypothesis_template must be a string, found {type(given).__name__}")
    template = plain(given)
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise _no_template(template, f"can't be filled in ({error})") from error
    fields = [field for _, field, _, _ in parts if field is not None]
    if not fields:
        raise _no_template(template, "has no place for a label")
    formats = any(width or conversion for _, _, width, conversion in parts)
    if formats or (fields != [""] and set(fields) != {"0"}):
        raise _no_template(template, "can't be filled in")
    return template


def _no_template(template: str, problem: str) -> InputError:
    return InputError(
        f"hypothesis_template {shown(template)} {problem}: write {{}} once, where the label goes"
    )


def _short(label: str) -> str:
    return label if len(label) <= _SHOWN else f"{label[:_SHOWN]}..."
