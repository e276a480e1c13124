"""Which task gets which pipeline, and what is said where there is none yet."""

from __future__ import annotations

import re

import pytest

from distilroberta.runtime import Artifact, InputError, pipeline
from distilroberta.runtime.command_line import run


@pytest.mark.parametrize(
    ("artifact", "task", "named"),
    [
        ("tagger_artifact", None, "token-classification"),
        ("tagger_artifact", "token-classification", "token-classification"),
        ("tagger_artifact", "ner", "token-classification"),
        ("answerer_artifact", None, "question-answering"),
        ("answerer_artifact", "question-answering", "question-answering"),
    ],
)
def test_task_without_a_pipeline(
    request: pytest.FixtureRequest, artifact: str, task: str | None, named: str
) -> None:
    opened: Artifact = request.getfixturevalue(artifact)
    message = (
        f"pipelines for {named} are not there yet; Artifact.session runs the graph of {opened.path}"
    )
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        pipeline(task, opened)


@pytest.mark.parametrize("task", ["ner", "question-answering"])
def test_artifact_of_another_task_comes_first(classifier_artifact: Artifact, task: str) -> None:
    message = f"was built for text-classification, not for {task}: leave the task out"
    with pytest.raises(InputError, match=message):
        pipeline(task, classifier_artifact)


def test_tasks_to_choose_from_are_those_with_a_pipeline(classifier_artifact: Artifact) -> None:
    known = "fill-mask, text-classification, sentiment-analysis"
    with pytest.raises(InputError, match=f"^unknown task 'NER': choose one of {known}$"):
        pipeline("NER", classifier_artifact)


def test_predict_says_it_in_one_line(
    capsys: pytest.CaptureFixture[str], answerer_artifact: Artifact
) -> None:
    assert run(["predict", str(answerer_artifact.path), "Who?"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("distilroberta: pipelines for question-answering are not there yet; ")
    assert err.count("\n") == 1
