"""Fill-mask answers what the transformers pipeline answers, and refuses what it can't."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers

from distilroberta.export import build
from distilroberta.runtime import Artifact, InputError, pipeline

Same = Callable[..., Any]
Checkpoint = Callable[..., Path]

PARIS = "Paris is the <mask> of France."
TEXTS = [
    PARIS,
    "The dog <mask> at the stranger.",
    "She was sitting at the <mask> reading a <mask> in the evening of a long day.",
    "<mask>",
    "He opened the <mask> and went in.",
]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(PARIS, id="one mask"),
        pytest.param("The <mask> of Italy is <mask>.", id="two masks"),
        pytest.param("<mask> <mask> <mask>", id="nothing but masks"),
        pytest.param("<mask><mask>", id="masks without space"),
        pytest.param("<mask> is the capital of France.", id="mask at the start"),
        pytest.param("Paris is the capital of <mask>", id="mask at the end"),
        pytest.param("<mask>", id="mask alone"),
        pytest.param("   <mask>   ", id="spaces around"),
        pytest.param("\t\n <mask>\r\n", id="line breaks around"),
        pytest.param("Paris  is   the <mask>  of France .", id="double spaces"),
        pytest.param("I do n't know , it 's <mask> !", id="what cleaning up would change"),
        pytest.param("I \U0001f600 a <mask> \U0001f680!", id="emoji"),
        pytest.param("A \U0001f468‍\U0001f469‍\U0001f467 <mask>.", id="joined family"),
        pytest.param("שלום <mask> عالم", id="right to left"),
        pytest.param("\u202eecnarF fo <mask>\u202c", id="direction override"),
        pytest.param("Cafe\u0301 a\u0308\u0323\u0301 <mask>.", id="combining marks"),
        pytest.param("é" * 3 + " <mask>", id="composed"),
        pytest.param("中文 <mask> 日本語", id="CJK"),
        pytest.param("a\0b <mask>", id="NUL"),
        pytest.param("\ufeffParis is <mask>.", id="byte order mark"),
        pytest.param("\uffff\U0010ffff <mask>", id="no characters"),
        pytest.param("Paris </s> is the <mask>.", id="literal end"),
        pytest.param("Paris <pad> is the <mask>.", id="literal padding"),
        pytest.param("<pad><pad> <mask> <unk> <mask>", id="literal specials and two masks"),
        pytest.param("<s>Paris is the <mask>.</s>", id="own start and end"),
        pytest.param("A <MASK> is not a <mask>", id="case"),
    ],
)
def test_text_is_answered_as_transformers_does(same_fill: Same, text: str) -> None:
    same_fill(text)


@pytest.mark.parametrize(
    "inputs",
    [
        pytest.param(TEXTS[:1], id="list of one"),
        pytest.param(TEXTS, id="list of many"),
        pytest.param([PARIS, PARIS], id="twice the same"),
        pytest.param(lambda: (text for text in TEXTS), id="generator"),
        pytest.param(lambda: (text for text in TEXTS[:1]), id="generator of one"),
    ],
)
def test_container_decides_the_nesting(same_fill: Same, inputs: Any) -> None:
    same_fill(inputs)


@pytest.mark.parametrize("top_k", [1, 3, 10])
@pytest.mark.parametrize("inputs", [PARIS, TEXTS], ids=["one", "many"])
def test_top_k(same_fill: Same, inputs: Any, top_k: int) -> None:
    same_fill(inputs, top_k=top_k)
    same_fill(inputs, defaults={"top_k": top_k})


def test_call_overrules_the_default(same_fill: Same) -> None:
    assert len(same_fill(PARIS, defaults={"top_k": 3}, top_k=2)) == 2


def test_top_k_may_be_the_whole_vocabulary(fill: Any) -> None:
    answer = fill(PARIS, top_k=fill.config.vocab_size)
    assert sorted(row["token"] for row in answer) == list(range(fill.config.vocab_size))
    assert sum(row["score"] for row in answer) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    "targets",
    [
        pytest.param("Ġthe", id="one as a string"),
        pytest.param(["Ġthe"], id="one"),
        pytest.param(["Ġthe", "Ġa", "Ġman"], id="several"),
        pytest.param(["Ġthe", "Ġthe", "Ġa"], id="twice the same"),
        pytest.param(("Ġthe", "Ġa"), id="tuple"),
        pytest.param(["Ġthe", "Ġa", "Ġof", "Ġin", "Ġto", "Ġand", "Ġwas", "Ġit"], id="eight"),
    ],
)
@pytest.mark.parametrize("text", [PARIS, "<mask> or <mask>"], ids=["one mask", "two masks"])
def test_targets(same_fill: Same, text: str, targets: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # all of them are in the vocabulary
        same_fill(text, targets=targets)
        same_fill(text, defaults={"targets": targets, "top_k": 2})


@pytest.mark.parametrize(
    "target", [" the", "Zyzzyva", "\U0001f600", "the the"], ids=["space", "word", "emoji", "two"]
)
def test_target_outside_the_vocabulary_counts_as_its_first_token(
    same_fill: Same, target: str
) -> None:
    with pytest.warns(UserWarning, match="no vocabulary entry") as caught:
        same_fill(PARIS, targets=[target, "Ġthe"])
    assert repr(target) in str(caught[0].message)
    assert caught[0].filename.endswith("conftest.py"), "the warning points at the caller"


def test_target_without_a_token_is_left_out(same_fill: Same) -> None:
    with pytest.warns(UserWarning, match="'' has no token"):
        assert len(same_fill(PARIS, targets=["", "Ġthe"])) == 1


@pytest.mark.parametrize("batch_size", [2, 4, 100])
def test_batch_of_texts_of_other_lengths_and_mask_counts(same_fill: Same, batch_size: int) -> None:
    same_fill(TEXTS, batch_size=batch_size)
    same_fill(lambda: (text for text in TEXTS), batch_size=batch_size)


def test_two_hundred_masks(same_fill: Same) -> None:
    assert len(same_fill("A" + " <mask>" * 200 + ".", top_k=2)) == 200


def test_long_text_is_answered_as_its_beginning(
    same_fill: Same, fill: Any, mini: Path, mini_artifact: Artifact
) -> None:
    text = PARIS + " It is a very large city." * 200
    same_fill(text, theirs={"tokenizer_kwargs": {"truncation": True}})
    theirs = transformers.pipeline("fill-mask", model=str(mini), device="cpu")
    # It truncates only when told to.
    with pytest.raises((IndexError, RuntimeError), match=r"out of range|expanded size"):
        theirs(text)


@pytest.mark.parametrize("extra", [-1, 0, 1], ids=["one less", "full", "one more"])
def test_text_at_the_limit(same_fill: Same, fill: Any, extra: int) -> None:
    # "<mask>", then one token for each " a"; <s> and </s> make two more.
    text = "<mask>" + " a" * (fill.config.max_length - 3 + extra)
    same_fill(text, theirs={"tokenizer_kwargs": {"truncation": True}}, top_k=2)


@pytest.mark.parametrize("kept", ["", "A <mask>."], ids=["the only one", "one of two"])
def test_mask_that_truncation_would_lose_is_refused(fill: Any, kept: str) -> None:
    text = kept + " very" * fill.config.max_length + " <mask>"
    with pytest.raises(InputError, match=rf"text 1: .*beyond the first {fill.config.max_length} "):
        fill([PARIS, text])


def test_limit_is_the_models_own(make_checkpoint: Checkpoint, tmp_path: Path) -> None:
    short = make_checkpoint(max_position_embeddings=66)
    fill = pipeline("fill-mask", build(short, tmp_path / "short", variants=["fp32"]))
    rows = fill("<mask>" + " a" * 100)
    kept = fill("<mask>" + " a" * 61)  # with <s> and </s> 64 tokens
    assert [row["score"] for row in rows] == [row["score"] for row in kept]
    with pytest.raises(InputError, match="beyond the first 64 tokens"):
        fill("a " * 100 + "<mask>")


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        pytest.param("no mask", "text 0: has no <mask>: put", id="no mask"),
        pytest.param("", "text 0: has no <mask>", id="empty"),
        pytest.param([PARIS, "none"], "text 1: has no <mask>", id="no mask in a list"),
        pytest.param(None, "text 0: must be a string, found NoneType", id="None"),
        pytest.param(5, "text 0: must be a string, found int", id="number"),
        pytest.param(b"<mask>", "text 0: must be a string, found bytes", id="bytes"),
        pytest.param({"text": PARIS}, "text 0: must be a string, found dict", id="dict"),
        pytest.param((PARIS,), "text 0: must be a string, found tuple", id="tuple"),
        pytest.param([PARIS, [PARIS]], "text 1: must be a string, found list", id="nested list"),
        pytest.param([PARIS, None], "text 1: must be a string, found NoneType", id="None in list"),
        pytest.param([PARIS, float("nan")], "text 1: must be a string, found float", id="NaN"),
        pytest.param("\ud800 <mask>", "text 0: holds a lone surrogate", id="lone surrogate"),
        pytest.param([PARIS, "\udfff<mask>"], "text 1: holds a lone surrogate", id="in a list"),
    ],
)
def test_wrong_input_is_refused_by_its_index(fill: Any, inputs: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        fill(inputs)


def test_every_bad_text_of_a_list_is_named_and_nothing_is_scored(
    fill: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[Any] = []
    monkeypatch.setattr(fill.session, "run", lambda *arrays: ran.append(arrays))
    with pytest.raises(InputError) as caught:
        fill([PARIS, None, "no mask", PARIS, "\ud800 <mask>", b""])
    named = [part.split(":")[0] for part in str(caught.value).split("; ")]
    assert named == ["text 1", "text 2", "text 4", "text 5"]
    assert not ran


def test_many_bad_texts_are_counted(fill: Any) -> None:
    with pytest.raises(InputError, match=r"text 9: has no .*; and 5 more$"):
        fill(["no mask"] * 15)


def test_generator_answers_up_to_the_bad_text_and_names_it(fill: Any) -> None:
    answers = fill(text for text in [PARIS, PARIS, "\ud800 <mask>"])
    assert next(answers) == next(answers)
    with pytest.raises(InputError, match="text 2: holds a lone surrogate"):
        next(answers)


def test_nothing_in_nothing_out(fill: Any) -> None:
    assert fill([]) == []
    assert list(fill(iter([]))) == []


@pytest.mark.parametrize("top_k", [0, -1, True, "3", 2.0, 10**9, np.array([1, 2])], ids=repr)
def test_wrong_top_k(fill: Any, mini_artifact: Artifact, top_k: Any) -> None:
    message = f"top_k must be a whole number from 1 to {fill.config.vocab_size}, found"
    with pytest.raises(InputError, match=message):
        fill(PARIS, top_k=top_k)
    with pytest.raises(InputError, match=message):
        pipeline("fill-mask", mini_artifact, top_k=top_k)(PARIS)


@pytest.mark.parametrize("batch_size", [0, -1, True, "4", 2.0], ids=repr)
def test_wrong_batch_size(fill: Any, batch_size: Any) -> None:
    with pytest.raises(InputError, match="batch_size must be a whole number from 1 up, found"):
        fill([PARIS], batch_size=batch_size)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        pytest.param(5, "targets must be words, found 5", id="number"),
        pytest.param([5], "targets must be words, found 5", id="list of a number"),
        pytest.param(b"the", "targets must be words, found", id="bytes"),
        pytest.param(np.array("the"), "targets must be words, found array", id="0-d array"),
        pytest.param(np.array([[1], [2]]), "targets must be words, found array", id="array"),
        pytest.param(["Ġthe", None], "targets must be words, found None", id="None in a list"),
        pytest.param([], "at least one", id="none"),
        pytest.param("\ud800", "lone surrogate", id="lone surrogate"),
    ],
)
def test_wrong_targets(fill: Any, targets: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        fill(PARIS, targets=targets)


@pytest.mark.filterwarnings("ignore:target '' has no token")
def test_no_target_with_a_token(fill: Any) -> None:
    with pytest.raises(InputError, match="no word that can be scored"):
        fill(PARIS, targets=[""])


def test_unknown_parameter_is_refused(fill: Any, mini_artifact: Artifact) -> None:
    with pytest.raises(TypeError, match="topk"):
        fill(PARIS, topk=3)
    with pytest.raises(InputError, match=r"has no parameter topk; it has top_k, targets"):
        pipeline("fill-mask", mini_artifact, topk=3)


@pytest.mark.parametrize("variant", ["fp32", "fp16", "int8"])
def test_answer_does_not_depend_on_the_neighbours(mini_artifact: Artifact, variant: str) -> None:
    fill = pipeline("fill-mask", mini_artifact, variant=variant, batch_size=1)
    alone = [fill(text) for text in TEXTS]
    assert fill(TEXTS) == alone
    assert fill(TEXTS[::-1]) == alone[::-1]
    assert list(fill(iter(TEXTS))) == alone


def test_eight_threads_answer_as_one(mini_artifact: Artifact) -> None:
    fill = pipeline("fill-mask", mini_artifact, variant="int8")
    texts = TEXTS * 8
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(fill, texts))
    assert answers == [fill(text) for text in TEXTS] * 8


def test_inputs_are_left_as_they_were(fill: Any) -> None:
    texts = list(TEXTS)
    fill(texts)
    assert texts == TEXTS


@pytest.mark.parametrize(
    "default", [{"top_k": 0}, {"targets": 5}, {"targets": []}, {"batch_size": 0}], ids=repr
)
def test_bad_default_is_refused_when_it_is_given(
    mini_artifact: Artifact, default: dict[str, Any]
) -> None:
    with pytest.raises(InputError, match=next(iter(default))):
        pipeline("fill-mask", mini_artifact, provider="cpu", **default)


@pytest.mark.parametrize("words", [lambda: iter(["Ġthe", "Ġa"]), lambda: np.array(["Ġthe", "Ġa"])])
def test_targets_of_any_iterable_stay_the_default(
    mini_artifact: Artifact, fill: Any, words: Callable[[], Any]
) -> None:
    expected = fill(PARIS, targets=["Ġthe", "Ġa"])
    assert fill(PARIS, targets=words()) == expected
    kept = pipeline("fill-mask", mini_artifact, variant="fp32", provider="cpu", targets=words())
    assert kept(PARIS) == kept(PARIS) == expected
    assert pickle.loads(pickle.dumps(kept))(PARIS) == expected  # noqa: S301 - our own


def test_truncation_is_spelled_as_transformers_does(same_fill: Same, fill: Any) -> None:
    text = PARIS + " It is a very large city." * 200
    given = {"tokenizer_kwargs": {"truncation": True}}
    expected = fill(text)
    assert same_fill(text, **given) == expected
    assert same_fill(text, defaults=given) == expected
    for truncation in (True, "longest_first", "only_first"):
        assert fill(text, truncation=truncation) == expected


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"truncation": False}, "truncation can't be False: .* are always cut"),
        ({"tokenizer_kwargs": {"truncation": False}}, "truncation can't be False"),
        ({"truncation": "only_second"}, "truncation must be one of True, .* 'only_second'"),
        ({"tokenizer_kwargs": {"max_length": 8}}, "tokenizer_kwargs may hold truncation and noth"),
        ({"tokenizer_kwargs": []}, "tokenizer_kwargs must be a mapping, found list"),
        (
            {"truncation": True, "tokenizer_kwargs": {"truncation": True}},
            "truncation is given twice",
        ),
    ],
    ids=str,
)
def test_truncation_that_this_task_does_not_have(
    fill: Any, mini_artifact: Artifact, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        fill(PARIS, **parameters)
    with pytest.raises(InputError, match=message):
        pipeline("fill-mask", mini_artifact, variant="fp32", provider="cpu", **parameters)


def test_strings_of_numpy_are_texts(fill: Any) -> None:
    assert fill([np.str_(PARIS), np.str_("<mask>")]) == fill([PARIS, "<mask>"])
