"""Zero-shot classification answers what the transformers pipeline answers."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distilroberta.export import build
from distilroberta.runtime import Artifact, ArtifactError, InputError, pipeline
from distilroberta.runtime.command_line import run

Same = Callable[..., Any]
SameMaker = Callable[..., Same]
Checkpoint = Callable[..., Path]
Editor = Callable[..., None]
# Makes a checkpoint of natural language inference: `nli("contradiction", "entailment", ...)`.
Nli = Callable[..., Path]

Capture = pytest.CaptureFixture[str]

TASK = "zero-shot-classification"
NLI = ("contradiction", "neutral", "entailment")
TEXT = "The dog barked at the stranger."
LABELS = ["animals", "politics", "a long walk in the park", "music"]
LONGEST = 64
LONG = "very " * 400
TEXTS = [
    TEXT,
    "I'm GLAD; aren't you?! (No.) -- \"Yes\"...",
    "   ",
    "  two spaces before, one behind ",
    "I \U0001f600 it \U0001f468\u200d\U0001f469\u200d\U0001f467",
    "שלום عالم",
    "Cafe\u0301 \ufeff a\0b\r\n\t.",
    "a </s> b <pad> c <mask>",
    "<mask> at either end <mask>",
]


@pytest.fixture(scope="module")
def nli(make_checkpoint: Checkpoint) -> Nli:
    """Make a classifier with labels of inference, in the order that is given."""

    def make(*labels: str, **config: Any) -> Path:
        named = {label: index for index, label in enumerate(labels)}
        names = {index: label for label, index in named.items()}
        folder = make_checkpoint("text-classification", id2label=names, label2id=named, **config)
        # What transformers cuts to: the pipeline has no argument for it.
        path = folder / "tokenizer_config.json"
        settings = json.loads(path.read_text("utf-8"))
        settings["model_max_length"] = config.get("max_position_embeddings", LONGEST + 2) - 2
        path.write_text(json.dumps(settings), "utf-8")
        return folder

    return make


@pytest.fixture(scope="module")
def inference(nli: Nli) -> Path:
    """A checkpoint of inference whose last label is entailment."""
    return nli(*NLI)


@pytest.fixture(scope="module")
def artifact(inference: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """That checkpoint, built for text classification."""
    return build(inference, tmp_path_factory.mktemp("nli") / "a", variants=["fp32", "int8"])


@pytest.fixture(scope="module")
def same(make_same: SameMaker, inference: Path, artifact: Artifact) -> Same:
    """Compare the answers of that checkpoint."""
    return make_same(inference, artifact, TASK)


@pytest.fixture(scope="module")
def choose(artifact: Artifact) -> Any:
    """A zero-shot pipeline in FP32."""
    return pipeline(TASK, artifact, variant="fp32", provider="cpu")


@pytest.mark.parametrize("multi_label", [False, True], ids=["one", "several"])
@pytest.mark.parametrize("text", TEXTS, ids=repr)
def test_text_is_answered_as_transformers_does(same: Same, text: str, multi_label: bool) -> None:
    found = same(text, candidate_labels=LABELS, multi_label=multi_label)
    assert list(found) == ["sequence", "labels", "scores"]
    assert found["sequence"] == text
    assert sorted(found["labels"]) == sorted(LABELS)
    assert found["scores"] == sorted(found["scores"], reverse=True)
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize(
    "inputs",
    [
        pytest.param(TEXT, id="one"),
        pytest.param([TEXT], id="list of one"),
        pytest.param(TEXTS, id="list"),
        pytest.param([], id="empty list"),
        pytest.param(lambda: (text for text in TEXTS), id="generator"),
    ],
)
@pytest.mark.parametrize("multi_label", [False, True], ids=["one", "several"])
def test_container_decides_the_nesting(same: Same, inputs: Any, multi_label: bool) -> None:
    same(inputs, candidate_labels=LABELS, multi_label=multi_label)


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param("animals, politics,music", id="with commas"),
        pytest.param(" , animals ,, ", id="empty ones between commas"),
        pytest.param("animals", id="one string"),
        pytest.param(["animals"], id="list of one"),
        pytest.param(("animals", "music"), id="tuple"),
        pytest.param([" spaces ", "a, comma", ""], id="as they are"),
        pytest.param(["animals", "music", "animals"], id="one twice"),
        pytest.param(["\U0001f468\u200d\U0001f469", "שלום", "</s>", "{}"], id="any text"),
        pytest.param([f"label {number}" for number in range(40)], id="many"),
    ],
)
@pytest.mark.parametrize("multi_label", [False, True], ids=["one", "several"])
def test_candidate_labels(same: Same, labels: Any, multi_label: bool) -> None:
    same(TEXT, candidate_labels=labels, multi_label=multi_label)


@pytest.mark.parametrize(
    "template",
    [
        "This text is about {}.",
        "{}",
        "{:}",
        "{0} and {0}",
        "{{}} {}",
        "}}{{ {0}",
        "\U0001f600 {} שלום",
    ],
)
def test_hypothesis_template(same: Same, template: str) -> None:
    same(TEXTS[:3], candidate_labels=LABELS, hypothesis_template=template)


def test_constructor_gives_the_defaults_and_the_call_overrules_them(same: Same) -> None:
    defaults = {
        "candidate_labels": "animals, politics, music",
        "hypothesis_template": "About {}.",
        "multi_label": True,
    }
    assert len(same(TEXT, defaults=defaults)["labels"]) == 3
    assert same(TEXT, defaults=defaults, candidate_labels=LABELS[:2], multi_label=False)
    assert same(TEXTS[:2], defaults=defaults, hypothesis_template="{}")


def test_labels_may_be_the_second_argument(choose: Any, artifact: Artifact) -> None:
    assert choose(TEXT, LABELS) == choose(TEXT, candidate_labels=LABELS)
    made = pipeline(TASK, artifact, variant="fp32", provider="cpu", candidate_labels=LABELS)
    for pipe in (made, pickle.loads(pickle.dumps(made))):  # noqa: S301 - our own
        assert pipe(TEXT) == choose(TEXT, LABELS)


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_batch_of_other_lengths(same: Same, batch_size: int) -> None:
    same(TEXTS, candidate_labels=LABELS, batch_size=batch_size)


@pytest.mark.parametrize("text", [LONG, "long " * 50 + TEXT, TEXT + " and so on" * 20])
def test_long_text_is_cut_and_the_hypothesis_is_not(same: Same, choose: Any, text: str) -> None:
    found = same([text, TEXT], candidate_labels=LABELS, multi_label=True)
    assert found[0]["sequence"] == text
    ids = choose.tokenizer.encode([(text, "This example is music.")])[0].ids
    assert len(ids) == LONGEST
    assert choose.tokenizer.decode(ids).endswith("</s></s>This example is music.</s>")


@pytest.mark.parametrize(
    ("labels", "config"),
    [
        pytest.param(("entailment", "neutral", "contradiction"), {}, id="entailment first"),
        pytest.param(("neutral", "ENTAILMENT", "contradiction"), {}, id="in the middle"),
        pytest.param(("contradiction", "Entails"), {}, id="two labels"),
        pytest.param(("entailment", "not_entailment"), {}, id="two labels, entailment first"),
        pytest.param(("a", "b", "c", "entail", "entailment"), {}, id="two of entailment"),
        pytest.param(NLI, {"num_hidden_layers": 3, "num_attention_heads": 2}, id="3 layers"),
        pytest.param(NLI, {"hidden_size": 48, "num_attention_heads": 3}, id="48 wide"),
        pytest.param(NLI, {"max_position_embeddings": 40}, id="38 tokens"),
    ],
)
def test_checkpoint_of_any_shape(
    nli: Nli, make_same: SameMaker, labels: tuple[str, ...], config: dict[str, Any]
) -> None:
    same = make_same(nli(*labels, **{"num_hidden_layers": 1, **config}), None, TASK)
    for multi_label in (False, True):
        same([*TEXTS[:3], LONG], candidate_labels=LABELS, multi_label=multi_label)
    same(TEXT, candidate_labels="animals")


def test_the_label_that_label2id_names_is_entailment(
    artifact: Artifact, choose: Any, tmp_path: Path, edit_json: Editor
) -> None:
    """Where a config contradicts itself, and as id2label says where it has no label2id."""
    swapped, plain = (
        Path(shutil.copytree(artifact.path, tmp_path / name)) for name in ("swapped", "plain")
    )
    named = {"entailment": 0, "neutral": 1, "contradiction": 2}
    edit_json(swapped, "config.json", lambda config: config.update(label2id=named))
    edit_json(plain, "config.json", lambda config: config.pop("label2id"))
    expected = choose(TEXT, LABELS, multi_label=True)
    assert pipeline(TASK, plain, variant="fp32")(TEXT, LABELS, multi_label=True) == expected
    found = pipeline(TASK, swapped, variant="fp32")(TEXT, LABELS, multi_label=True)
    # Entailment and contradiction change places, so that a score becomes what was left of 1.
    assert found["labels"] == expected["labels"][::-1]
    assert found["scores"] == pytest.approx([1 - one for one in expected["scores"][::-1]])


@pytest.mark.parametrize("index", [3, -1, "2", None, True, [1]], ids=repr)
def test_entailment_that_is_no_label_is_refused(
    artifact: Artifact, tmp_path: Path, edit_json: Editor, index: Any
) -> None:
    copy = Path(shutil.copytree(artifact.path, tmp_path / "copy"))
    edit_json(copy, "config.json", lambda config: config.update(label2id={"entailment": index}))
    message = r"label2id in config\.json gives 'entailment' the id"
    with pytest.raises(ArtifactError, match=message):
        pipeline(TASK, copy, variant="fp32")


def test_model_without_entailment_is_refused(classifier_artifact: Artifact) -> None:
    message = r"has no label that begins with 'entail' \(it has bad, good, so-so\): zero-shot-class"
    with pytest.raises(InputError, match=message):
        pipeline(TASK, classifier_artifact)


def test_artifact_of_another_task_is_refused(embedder_artifact: Artifact) -> None:
    with pytest.raises(InputError, match=f"was built for feature-extraction, not for {TASK}"):
        pipeline(TASK, embedder_artifact)


def test_its_artifact_still_classifies_texts(artifact: Artifact) -> None:
    assert pipeline(None, artifact).task == "text-classification"
    assert pipeline("text-classification", artifact)(TEXT)[0]["label"] in NLI


def test_int8_answers_alike_alone_and_among_others(artifact: Artifact) -> None:
    choose = pipeline(TASK, artifact, variant="int8", provider="cpu", candidate_labels=LABELS)
    assert choose(TEXTS) == [choose(text) for text in TEXTS]


@pytest.mark.parametrize("words", [60, 100, 5000])
def test_hypothesis_that_leaves_no_room_is_refused(choose: Any, words: int) -> None:
    label = "very " * words
    message = "hypothesis for label 'very very .*' has 60 tokens or more, which leaves no room"
    with pytest.raises(InputError, match=message) as raised:
        choose(TEXT, ["music", label])
    assert len(str(raised.value)) < 300


def test_longest_hypothesis_leaves_room_for_one_token(choose: Any) -> None:
    room = LONGEST - 4 - 1
    label = "a" + " a" * (room - 1)
    assert len(choose.tokenizer.encode([label], special_tokens=False)[0].ids) == room
    assert choose(TEXTS, [label], hypothesis_template="{}")[0]["sequence"] == TEXT
    with pytest.raises(InputError, match="leaves no room"):
        choose(TEXTS, [label + " a"], hypothesis_template="{}")


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        pytest.param(None, "text 0: must be a string, found NoneType", id="None"),
        pytest.param({"text": TEXT}, "text 0: must be a string, found dict", id="dict"),
        pytest.param((TEXT, TEXT), "text 0: must be a string, found tuple", id="tuple"),
        pytest.param([TEXT, [TEXT]], "text 1: must be a string, found list", id="nested list"),
        pytest.param([TEXT, "\ud800"], "text 1: holds a lone surrogate", id="lone surrogate"),
    ],
)
def test_wrong_input_is_refused_by_its_index(choose: Any, inputs: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        choose(inputs, LABELS)


def test_empty_text_is_answered(choose: Any) -> None:
    """transformers refuses it."""
    found = choose(["", TEXT], LABELS)
    assert found[0]["sequence"] == ""
    assert sum(found[0]["scores"]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "give candidate_labels, such as"),
        ({"candidate_labels": []}, "candidate_labels holds no label: give at least one"),
        ({"candidate_labels": " , "}, "candidate_labels holds no label: give at least one"),
        ({"candidate_labels": ["a", 5]}, "candidate_labels must be strings, found 5"),
        ({"candidate_labels": b"a"}, "candidate_labels must be strings, or one with commas"),
        ({"candidate_labels": {"a": 1}}, "candidate_labels must be strings, or one with commas"),
        ({"candidate_labels": np.array("a")}, "candidate_labels must be strings, or one with"),
        ({"multi_label": np.array([1, 0])}, "multi_label must be True or False, found array"),
        ({"candidate_labels": 5}, "candidate_labels must be strings, or one with commas"),
        ({"candidate_labels": ["\ud800"]}, "the hypothesis for label '.ud800' holds a lone"),
        ({"hypothesis_template": "About it."}, "'About it.' has no place for a label: write {}"),
        ({"hypothesis_template": "{} {}"}, "'{} {}' can't be filled in"),
        ({"hypothesis_template": "{label}"}, "'{label}' can't be filled in"),
        ({"hypothesis_template": "{"}, "'{' can't be filled in"),
        ({"hypothesis_template": "{0.x}"}, "'{0.x}' can't be filled in"),
        ({"hypothesis_template": "{0.__class__}"}, "'{0.__class__}' can't be filled in: write {}"),
        ({"hypothesis_template": "{0[0]}"}, "can't be filled in"),
        ({"hypothesis_template": "{:10000000000}"}, "'{:10000000000}' can't be filled in"),
        ({"hypothesis_template": "{:>20}"}, "can't be filled in"),
        ({"hypothesis_template": "{0:{0}}"}, "can't be filled in"),
        ({"hypothesis_template": "{!r}"}, "can't be filled in"),
        ({"hypothesis_template": "{} {0}"}, "can't be filled in"),
        ({"hypothesis_template": "{1}"}, "can't be filled in"),
        ({"hypothesis_template": "}"}, "'}' can't be filled in"),
        ({"hypothesis_template": "{{}}"}, "'{{}}' has no place for a label: write {}"),
        ({"hypothesis_template": ""}, "'' has no place for a label: write {}"),
        ({"hypothesis_template": 5}, "hypothesis_template must be a string, found int"),
        ({"multi_label": 1}, "multi_label must be True or False, found 1"),
        ({"batch_size": 0}, "batch_size must be a whole number from 1 up, found 0"),
    ],
)
def test_wrong_parameter(
    artifact: Artifact, choose: Any, parameters: dict[str, Any], message: str
) -> None:
    labels = {} if not parameters or "candidate_labels" in parameters else {"candidate_labels": "a"}
    with pytest.raises(InputError, match=message):
        choose(TEXT, **labels, **parameters)
    if parameters:
        with pytest.raises(InputError, match=message):
            pipeline(TASK, artifact, variant="fp32", **labels, **parameters)


@pytest.mark.parametrize("texts", [[TEXT], [TEXT, ""]], ids=["one", "two"])
@pytest.mark.parametrize(
    ("words", "parameters"),
    [
        ([], {}),
        (["--multi-label"], {"multi_label": True}),
        (["--hypothesis-template", "About {}."], {"hypothesis_template": "About {}."}),
    ],
    ids=repr,
)
def test_predict_prints_what_python_returns(
    capsys: Capture,
    artifact: Artifact,
    choose: Any,
    texts: list[str],
    words: list[str],
    parameters: dict[str, Any],
) -> None:
    labels = ["music, with a comma", "animals"]
    command = ["predict", str(artifact.path), *texts, "--task", TASK, "--variant", "fp32", *words]
    command += [word for label in labels for word in ("--candidate-label", label)]
    assert run([*command, "--json"]) == 0
    expected = choose(texts[0] if len(texts) == 1 else texts, labels, **parameters)
    assert json.loads(capsys.readouterr().out) == expected
    assert run(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[::3] == texts
    first = expected if len(texts) == 1 else expected[0]
    pairs = zip(first["scores"], first["labels"], strict=True)
    assert lines[1:3] == [f"  {score:.4f}  {label}" for score, label in pairs]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--candidate-label", "a"], f"is for text-classification: add --task {TASK}"),
        (["--task", TASK], "give candidate_labels"),
        (["--task", TASK, "--candidate-label", "a", "--text-pair", "b"], "--text-pair is for text"),
        (["--task", "zero-shot"], "unknown task 'zero-shot'"),
    ],
)
def test_wrong_option(capsys: Capture, artifact: Artifact, words: list[str], message: str) -> None:
    assert run(["predict", str(artifact.path), TEXT, *words]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("template", ["About it.", "{:10000000000}", "{", 5, None], ids=repr)
def test_template_is_checked_at_once_without_labels(artifact: Artifact, template: Any) -> None:
    with pytest.raises(InputError, match="hypothesis_template"):
        pipeline(TASK, artifact, variant="fp32", hypothesis_template=template)


def test_strings_of_numpy_are_texts_and_labels(choose: Any) -> None:
    found = choose([np.str_(TEXT)], np.array(LABELS), hypothesis_template=np.str_("About {}."))[0]
    assert found == choose(TEXT, LABELS, hypothesis_template="About {}.")
    assert {type(text) for text in (found["sequence"], *found["labels"])} == {str}
    assert {type(label) for label in choose(TEXT, np.str_("a, b"))["labels"]} == {str}


def test_labels_of_an_iterator_stay_the_default(artifact: Artifact, choose: Any) -> None:
    made = pipeline(TASK, artifact, variant="fp32", provider="cpu", candidate_labels=iter(LABELS))
    for pipe in (made, pickle.loads(pickle.dumps(made))):  # noqa: S301 - our own
        assert pipe(TEXT) == pipe(TEXT) == choose(TEXT, LABELS)
