"""Which task gets which pipeline."""

from __future__ import annotations

import json

import pytest

from distilroberta.runtime import (
    Artifact,
    InputError,
    QuestionAnsweringPipeline,
    TokenClassificationPipeline,
    pipeline,
)
from distilroberta.runtime.command_line import run


@pytest.mark.parametrize(
    ("artifact", "task", "kind"),
    [
        ("tagger_artifact", None, TokenClassificationPipeline),
        ("tagger_artifact", "token-classification", TokenClassificationPipeline),
        ("tagger_artifact", "ner", TokenClassificationPipeline),
        ("answerer_artifact", None, QuestionAnsweringPipeline),
        ("answerer_artifact", "question-answering", QuestionAnsweringPipeline),
    ],
)
def test_pipeline_of_a_task(
    request: pytest.FixtureRequest, artifact: str, task: str | None, kind: type
) -> None:
    opened: Artifact = request.getfixturevalue(artifact)
    assert isinstance(pipeline(task, opened, variant="fp32"), kind)


@pytest.mark.parametrize("task", ["ner", "question-answering"])
def test_artifact_of_another_task(classifier_artifact: Artifact, task: str) -> None:
    message = f"was built for text-classification, not for {task}: leave the task out"
    with pytest.raises(InputError, match=message):
        pipeline(task, classifier_artifact)


def test_unknown_task_is_told_which_there_are(classifier_artifact: Artifact) -> None:
    known = "fill-mask, text-classification, token-classification, question-answering, .*ner"
    with pytest.raises(InputError, match=f"^unknown task 'NER': choose one of {known}$"):
        pipeline("NER", classifier_artifact)


QUESTION = "Who barked?"
TEXTS = ["The dog barked.", "A cat."]


def test_predict_answers_a_question(
    capsys: pytest.CaptureFixture[str], answerer_artifact: Artifact
) -> None:
    words = ["predict", str(answerer_artifact.path), "--question", QUESTION, "--variant", "fp32"]
    answer = pipeline(None, answerer_artifact, variant="fp32")
    assert run([*words, "--json", "--top-k", "2", *TEXTS]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == answer(question=[QUESTION] * 2, context=TEXTS, top_k=2)
    assert run([*words, "--json", TEXTS[0]]) == 0
    best = answer(question=QUESTION, context=TEXTS[0])
    assert json.loads(capsys.readouterr().out) == best
    assert run([*words, TEXTS[0]]) == 0
    place = f"{best['start']}-{best['end']}"
    line = f"  {best['score']:.4f}  {place}  {best['answer']}"
    assert capsys.readouterr().out.splitlines() == [TEXTS[0], line]


def test_predict_needs_the_question(
    capsys: pytest.CaptureFixture[str], answerer_artifact: Artifact
) -> None:
    assert run(["predict", str(answerer_artifact.path), "Who?"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        "distilroberta: question-answering needs --question; the texts are what is read\n"
    )


def test_predict_labels_tokens_and_entities(
    capsys: pytest.CaptureFixture[str], tagger_artifact: Artifact
) -> None:
    words = ["predict", str(tagger_artifact.path), "--variant", "fp32", TEXTS[0]]
    tag = pipeline(None, tagger_artifact, variant="fp32")
    assert run([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == tag(TEXTS[0])
    assert run([*words, "--aggregation-strategy", "max", "--stride", "0"]) == 0
    found = tag(TEXTS[0], aggregation_strategy="max")
    lines = [
        f"  {one['score']:.4f}  {one['start']}-{one['end']}  {one['entity_group']}  "
        f"{TEXTS[0][one['start'] : one['end']]}"
        for one in found
    ]
    assert found
    assert capsys.readouterr().out.splitlines() == [TEXTS[0], *lines]
