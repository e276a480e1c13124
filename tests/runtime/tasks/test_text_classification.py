"""Text classification answers what the transformers pipeline answers, oddities included."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distilroberta.export import build
from distilroberta.runtime import Artifact, ArtifactError, InputError, pipeline

Same = Callable[..., Any]
SameMaker = Callable[..., Same]
Checkpoint = Callable[..., Path]
Editor = Callable[..., None]

TEXT = "The dog barked at the stranger."
TEXTS = [TEXT, "I am very glad to hear it.", "", "He went in, and she was reading.", "   "]
PAIR = {"text": TEXT, "text_pair": "The stranger ran away."}

INPUTS = [
    pytest.param(TEXT, id="one"),
    pytest.param("", id="empty"),
    pytest.param([TEXT], id="list of one"),
    pytest.param(TEXTS, id="list"),
    pytest.param(PAIR, id="pair"),
    pytest.param({"text": TEXT}, id="dict without a pair"),
    pytest.param([PAIR], id="list of one pair"),
    pytest.param([PAIR, {"text": TEXT}, PAIR], id="list of pairs"),
    pytest.param(lambda: (text for text in TEXTS), id="generator"),
    pytest.param(lambda: (pair for pair in [PAIR, PAIR]), id="generator of pairs"),
]


@pytest.mark.parametrize("inputs", INPUTS)
def test_container_decides_the_nesting(same_labels: Same, inputs: Any) -> None:
    same_labels(inputs)


@pytest.mark.parametrize("top_k", [None, 1, 2, 3, 10])
@pytest.mark.parametrize("inputs", INPUTS)
def test_top_k_changes_the_nesting(same_labels: Same, inputs: Any, top_k: int | None) -> None:
    same_labels(inputs, top_k=top_k)
    same_labels(inputs, defaults={"top_k": top_k})


def test_call_overrules_the_default(same_labels: Same) -> None:
    assert len(same_labels(TEXT, defaults={"top_k": 3}, top_k=2)) == 2
    assert len(same_labels(TEXT, defaults={"top_k": 1}, top_k=None)) == 3


@pytest.mark.parametrize("function", ["softmax", "sigmoid", "none", "SOFTMAX", "Sigmoid", "NONE"])
def test_function_to_apply(same_labels: Same, function: str) -> None:
    for inputs in (TEXT, TEXTS):
        same_labels(inputs, function_to_apply=function, top_k=None)
        same_labels(inputs, defaults={"function_to_apply": function})


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("I \U0001f600 it \U0001f468‍\U0001f469‍\U0001f467", id="emoji"),
        pytest.param("שלום عالم", id="right to left"),
        pytest.param("Cafe\u0301 \ufeff a\0b", id="marks and NUL"),
        pytest.param("a </s> b <pad> c <mask>", id="literal specials"),
        pytest.param(" \t\n ", id="white space"),
    ],
)
def test_text_is_answered_as_transformers_does(same_labels: Same, text: str) -> None:
    same_labels(text, top_k=None)


@pytest.mark.parametrize("batch_size", [2, 4, 100])
def test_batch_of_other_lengths(same_labels: Same, batch_size: int) -> None:
    same_labels(TEXTS, batch_size=batch_size, top_k=None)
    same_labels([PAIR, {"text": TEXT}], batch_size=batch_size)


@pytest.mark.parametrize(
    "inputs",
    [
        pytest.param("very " * 100, id="text"),
        pytest.param({"text": "very " * 100, "text_pair": "long " * 40}, id="pair"),
        pytest.param({"text": "very " * 30, "text_pair": "long " * 90}, id="long second"),
    ],
)
def test_long_text_is_answered_as_its_beginning(same_labels: Same, inputs: Any) -> None:
    same_labels(inputs, theirs={"truncation": True, "max_length": 64}, top_k=None)


@pytest.mark.parametrize(
    "config",
    [
        pytest.param({"num_labels": 1, "problem_type": "regression"}, id="regression"),
        pytest.param({"num_labels": 3, "problem_type": "regression"}, id="three regressions"),
        pytest.param(
            {"num_labels": 4, "problem_type": "multi_label_classification"}, id="several labels"
        ),
        pytest.param({"num_labels": 1}, id="single label"),
        pytest.param(
            {"num_labels": 2, "problem_type": "single_label_classification"}, id="one of two"
        ),
        pytest.param({"num_labels": 2}, id="two labels that config.json does not name"),
    ],
)
def test_kind_of_problem_decides_the_function(
    make_checkpoint: Checkpoint, make_same: SameMaker, config: dict[str, Any]
) -> None:
    same = make_same(make_checkpoint("text-classification", **config))
    for inputs in (TEXT, TEXTS, PAIR):
        same(inputs)
        same(inputs, top_k=None)
    same(TEXT, function_to_apply="softmax")


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        pytest.param(None, "text 0: must be a string, or a pair .* found NoneType", id="None"),
        pytest.param(5, "text 0: must be a string, .* found int", id="number"),
        pytest.param(b"text", "text 0: must be a string, .* found bytes", id="bytes"),
        pytest.param((TEXT, TEXT), "text 0: must be a string, .* found tuple", id="tuple"),
        pytest.param([TEXT, [TEXT]], "text 1: must be a string, .* found list", id="nested list"),
        pytest.param([[TEXT, TEXT]], "text 0: must be a string, .* found list", id="old pair"),
        pytest.param({}, 'text 0: a pair has no "text"', id="empty dict"),
        pytest.param({"text_pair": TEXT}, 'a pair has no "text"', id="pair without text"),
        pytest.param({"text": TEXT, "pair": TEXT}, 'keys "text" and "text_pair"', id="other key"),
        pytest.param({"text": TEXT, "text_pair": 5}, "both strings", id="number in a pair"),
        pytest.param([TEXT, "\ud800"], "text 1: holds a lone surrogate", id="lone surrogate"),
        pytest.param({"text": TEXT, "text_pair": "\udc00"}, "text 0: holds a lone", id="in a pair"),
        pytest.param([None, TEXT, 5], r"text 0: .*; text 2: ", id="two of three"),
    ],
)
def test_wrong_input_is_refused_by_its_index(classify: Any, inputs: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        classify(inputs)


def test_nothing_in_nothing_out(classify: Any) -> None:
    assert classify([]) == []
    assert list(classify(iter([]))) == []


@pytest.mark.parametrize(
    "function",
    ["relu", " softmax", 5, "", 0, False, [], {}, (), np.array(["softmax", "none"]), np.array([])],
    ids=repr,
)
def test_unknown_function(classify: Any, classifier_artifact: Artifact, function: Any) -> None:
    with pytest.raises(InputError, match="function_to_apply must be one of softmax, sigmoid, none"):
        classify(TEXT, function_to_apply=function)
    with pytest.raises(InputError, match="function_to_apply must be one of"):
        pipeline(None, classifier_artifact, variant="fp32", function_to_apply=function)


@pytest.mark.parametrize(
    "top_k", [0, -1, True, "3", 2.0, np.array([1, 2]), np.array([]), [], np.zeros((9, 9))], ids=repr
)
def test_wrong_top_k(classify: Any, classifier_artifact: Artifact, top_k: Any) -> None:
    with pytest.raises(InputError, match="top_k must be a whole number from 1 up or None, found"):
        classify(TEXT, top_k=top_k)
    with pytest.raises(InputError, match="top_k must be a whole number from 1 up or None, found"):
        pipeline(None, classifier_artifact, variant="fp32", top_k=top_k)


@pytest.mark.parametrize("batch_size", [0, -1, True, "4"], ids=repr)
def test_wrong_batch_size(classify: Any, batch_size: Any) -> None:
    with pytest.raises(InputError, match="batch_size must be a whole number from 1 up, found"):
        classify([TEXT], batch_size=batch_size)


@pytest.mark.parametrize("variant", ["fp32", "fp16", "int8"])
def test_answer_does_not_depend_on_the_neighbours(
    classifier_artifact: Artifact, variant: str
) -> None:
    classify = pipeline("text-classification", classifier_artifact, variant=variant, batch_size=1)
    alone = [classify(text, top_k=None) for text in TEXTS]
    assert classify(TEXTS, top_k=None) == alone
    assert classify(TEXTS[::-1], top_k=None) == alone[::-1]


def test_alias_and_no_task_are_the_same_pipeline(
    classifier_artifact: Artifact, classify: Any
) -> None:
    for task in ("sentiment-analysis", None):
        assert pipeline(task, classifier_artifact, variant="fp32")(TEXT) == classify(TEXT)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("fill-mask", "was built for text-classification, not for fill-mask"),
        ("translation", "unknown task 'translation': choose one of fill-mask"),
        ("", "unknown task ''"),
    ],
)
def test_wrong_task(classifier_artifact: Artifact, task: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        pipeline(task, classifier_artifact)


def test_no_model() -> None:
    with pytest.raises(InputError, match="give the artifact"):
        pipeline("fill-mask")


@pytest.mark.parametrize("threads", [0, -1, "2", 1.5, True], ids=repr)
def test_wrong_threads(classifier_artifact: Artifact, threads: Any) -> None:
    with pytest.raises(InputError, match="threads must be a whole number from 1 to 1024, found"):
        pipeline(None, classifier_artifact, threads=threads)


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param({"0": "bad", "2": "good"}, id="gap"),
        pytest.param({"1": "bad", "2": "so-so", "3": "good"}, id="from one"),
        pytest.param({"0": "bad", "1": "good"}, id="one too few"),
        pytest.param({str(index): "x" for index in range(4)}, id="one too many"),
        pytest.param({"bad": 0, "so-so": 1, "good": 2}, id="the wrong way round"),
        pytest.param(["bad", "so-so", "good"], id="list"),
        pytest.param("bad", id="string"),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    classifier_artifact: Artifact, tmp_path: Path, edit_json: Editor, labels: Any
) -> None:
    copy = Path(shutil.copytree(classifier_artifact.path, tmp_path / "copy"))
    edit_json(copy, "config.json", lambda config: config.update(id2label=labels))
    with pytest.raises(ArtifactError, match="config"):
        pipeline(None, copy)


def test_labels_are_those_of_the_config(
    make_checkpoint: Checkpoint, tmp_path: Path, edit_json: Editor
) -> None:
    checkpoint = make_checkpoint("text-classification", num_labels=3)
    built = build(checkpoint, tmp_path / "named", variants=["int8"])
    names = {"2": "two", "0": "zero", "1": "one"}
    edit_json(built.path, "config.json", lambda config: config.update(id2label=names))
    plain, named = (pipeline(None, path)(TEXT, top_k=None) for path in (built.path, built.path))
    assert {row["label"] for row in named} == {"zero", "one", "two"}
    assert plain == named


def test_tokenizer_without_a_mask_classifies(
    classifier_artifact: Artifact, tmp_path: Path, classify: Any
) -> None:
    folder = Path(shutil.copytree(classifier_artifact.path, tmp_path / "maskless"))
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text("utf-8"))
    settings["mask_token"] = None
    content = json.dumps(settings).encode()
    path.write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    manifest["files"][path.name]["bytes"] = len(content)
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    assert pipeline(None, folder, variant="fp32", provider="cpu")("fine") == classify("fine")


@pytest.mark.parametrize("truncation", [True, "longest_first"])
@pytest.mark.parametrize("long", ["text", "text_pair"])
def test_truncation_is_that_of_transformers(
    same_labels: Same, classify: Any, truncation: bool | str, long: str
) -> None:
    pair = {**PAIR, long: "very " * 100}
    expected = classify(pair, top_k=None)
    given = {"truncation": truncation, "max_length": 64}
    assert same_labels(pair, top_k=None, **given) == expected
    assert same_labels(pair, defaults=given, top_k=None) == expected
    assert classify(pair, truncation=truncation, top_k=None) == expected
    assert classify(pair, max_length=100, top_k=None) == expected


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"truncation": False}, "truncation can't be False: .* are always cut"),
        ({"truncation": "only_first"}, "truncation must be one of True, 'longest_first', False"),
        ({"truncation": 1}, "truncation must be one of True"),
        ({"max_length": 63}, "max_length must be at least 64, .* found 63: leave it out"),
        ({"max_length": 0}, "max_length must be a whole number from 1 up, found 0"),
        ({"max_length": np.array([64, 64])}, "max_length must be a whole number"),
    ],
    ids=str,
)
def test_truncation_that_this_task_does_not_have(
    classify: Any, classifier_artifact: Artifact, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        classify(TEXT, **parameters)
    with pytest.raises(InputError, match=message):
        pipeline(None, classifier_artifact, variant="fp32", **parameters)


def test_strings_of_numpy_are_texts(classify: Any) -> None:
    found = classify([np.str_(TEXT), {"text": np.str_(TEXT), "text_pair": np.str_("a")}])
    assert found == classify([TEXT, {"text": TEXT, "text_pair": "a"}])
