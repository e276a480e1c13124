"""SQuAD's JSON of both versions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distilroberta.quantize.quality.errors import DataError
from distilroberta.quantize.quality.labels import Labels
from distilroberta.quantize.quality.readers import read

Write = Callable[..., Path]

NO_LABELS = Labels({0: "LABEL_0", 1: "LABEL_1"})
SECOND = {
    "version": "v2.0",
    "data": [
        {
            "title": "Normans",
            "paragraphs": [
                {
                    "context": "The Normans were in Normandy.",
                    "qas": [
                        {
                            "question": "Where were they?",
                            "id": "56ddde6b",
                            "answers": [
                                {"text": "Normandy", "answer_start": 20},
                                {"text": "in Normandy", "answer_start": 17},
                            ],
                            "is_impossible": False,
                        },
                        {
                            "question": "Who ruled?",
                            "id": "5ad39d53",
                            "answers": [],
                            "plausible_answers": [{"text": "The Normans", "answer_start": 0}],
                            "is_impossible": True,
                        },
                    ],
                }
            ],
        }
    ],
}


def questions(path: Path) -> Any:
    return read(path, "question-answering", NO_LABELS).examples


@pytest.mark.parametrize("indent", [None, 1])
def test_questions_answers_and_places(write: Write, indent: int | None) -> None:
    path = write("dev-v2.0.json", json.dumps(SECOND, indent=indent))
    first, second = questions(path)
    assert (first.question, first.context) == ("Where were they?", "The Normans were in Normandy.")
    assert (first.answers, second.answers) == (("Normandy", "in Normandy"), ())
    assert first.where == f"{path}, question 56ddde6b"


def test_transformers_reads_the_same(write: Write) -> None:
    from transformers.data.processors.squad import SquadV2Processor

    path = write("dev-v2.0.json", json.dumps(SECOND))
    theirs = SquadV2Processor().get_dev_examples(str(path.parent))
    found = [(one.question, one.context, one.answers) for one in questions(path)]
    assert found == [
        (one.question_text, one.context_text, tuple(answer["text"] for answer in one.answers))
        for one in theirs
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda tree: tree.update(rows=tree.pop("data")), "is not SQuAD's JSON: it has no 'data'"),
        (lambda tree: tree["data"][0].clear(), r"data\[0\]: is not .* no 'paragraphs'"),
        (lambda tree: tree.update(data={}), "'data' must be a list, found dict"),
        (lambda tree: qas(tree)[1].pop("answers"), "question 5ad39d53: .* it has no 'answers'"),
        (lambda tree: qas(tree).append(3), r"qas\[2\]: .* it has no 'question'"),
        (
            lambda tree: tree["data"][0]["paragraphs"][0].pop("context"),
            r"data\[0\], paragraphs\[0\]: .* it has no 'context'",
        ),
        (lambda tree: qas(tree)[0].update(question=3), "56ddde6b: 'question' must be a string"),
    ],
)
def test_missing_parts(write: Write, change: Callable[[Any], Any], said: str) -> None:
    tree = json.loads(json.dumps(SECOND))
    change(tree)
    path = write("dev.json", json.dumps(tree, indent=1))
    with pytest.raises(DataError, match=said) as caught:
        questions(path)
    assert str(path) in str(caught.value)


def qas(tree: Any) -> Any:
    return tree["data"][0]["paragraphs"][0]["qas"]


def test_broken_json_and_no_json(write: Write, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"dev\.json is not JSON: Expecting"):
        questions(write("dev.json", '{"data": [\n'))
    with pytest.raises(DataError, match=r"no\.json can't be read: No such file"):
        read(tmp_path / "no.json", "question-answering", NO_LABELS, data_format="squad")
