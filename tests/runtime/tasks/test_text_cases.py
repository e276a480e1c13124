"""What people type, case by case: scored as transformers does, or refused with a reason.

The numbers are those of the project's list of faults: 1 to 16 are texts, 17 to 22 batches and
numbers, 34 and 35 the places an artifact may lie in.
"""

from __future__ import annotations

import json
import random
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoTokenizer

from distilroberta.runtime import Artifact, ArtifactError, InputError, NonFiniteError, pipeline

Same = Callable[..., Any]
Editor = Callable[..., None]

PARIS = "Paris is the <mask> of France."
MIB = 1 << 20


@pytest.fixture(scope="module")
def ids_of(mini: Path, fill: Any) -> Callable[[str], tuple[list[int], list[int]]]:
    """Return the ids of a text, ours and those of the transformers tokenizer."""
    reference = AutoTokenizer.from_pretrained(mini)

    def both(text: str) -> tuple[list[int], list[int]]:
        readable = fill.tokenizer.readable(text)
        ours = fill.tokenizer.encode([readable])[0].ids
        theirs = reference(text, truncation=True, max_length=fill.config.max_length)
        return ours, theirs["input_ids"]

    return both


def test_case_1_empty_text_is_scored(same_labels: Same, classify: Any) -> None:
    same_labels("", top_k=None)
    assert len(classify.tokenizer.encode([""])[0].ids) == 2


@pytest.mark.parametrize("text", ["   ", "\n\t", "\u00a0", "\u3000 \u2029"], ids=ascii)
def test_case_2_white_space_is_scored(same_labels: Same, ids_of: Any, text: str) -> None:
    same_labels(text, top_k=None)
    ours, theirs = ids_of(text)
    assert ours == theirs


def test_case_3_text_without_a_mask_is_named(fill: Any) -> None:
    with pytest.raises(InputError, match=r"^text 1: has no <mask>: put <mask> where"):
        fill([PARIS, "Paris.", PARIS])


@pytest.mark.parametrize("count", [2, 3, 200])
def test_case_4_each_mask_has_its_list(same_fill: Same, count: int) -> None:
    answer = same_fill("<mask> and " * (count - 1) + "<mask>", top_k=2)
    assert [len(of_mask) for of_mask in answer] == [2] * count


def test_case_5_mask_beyond_the_limit_is_refused(fill: Any) -> None:
    with pytest.raises(InputError, match="text 0: a <mask> lies beyond the first"):
        fill("word " * 600 + "<mask>")


@pytest.mark.parametrize(
    "piece",
    [
        pytest.param("The dog barked at the stranger. ", id="6 prose"),
        pytest.param("a", id="7 a letter"),
        pytest.param(".", id="7 full stops"),
        pytest.param(" ", id="7 spaces"),
        pytest.param("\u6f22\u5b57", id="7 no spaces at all"),
    ],
)
def test_cases_6_and_7_little_of_a_huge_text_is_tokenized(
    classify: Any, monkeypatch: pytest.MonkeyPatch, piece: str
) -> None:
    huge = piece * (10 * MIB // len(piece))
    expected = classify(huge[: 100 * classify.config.max_length], top_k=None)
    read: list[str] = []
    encode = classify.tokenizer.encode
    monkeypatch.setattr(
        classify.tokenizer, "encode", lambda texts: read.extend(texts) or encode(texts)
    )
    tracemalloc.start()
    found = classify(huge, top_k=None)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == expected
    assert sum(map(len, read)) < 100 * classify.config.max_length
    assert peak < 20 * MIB


def test_case_6_huge_pair_and_a_huge_text_that_loses_its_mask(classify: Any, fill: Any) -> None:
    huge = "The dog barked at the stranger. " * (1 << 18)
    pair = {"text": huge, "text_pair": huge}
    small = {"text": huge[:10_000], "text_pair": huge[:10_000]}
    assert classify(pair) == classify(small)
    with pytest.raises(InputError, match="text 0: a <mask> lies beyond the first"):
        fill(huge + "<mask>")
    assert fill("<mask>" + huge) == fill("<mask>" + huge[:10_000])


def test_case_6_huge_text_whose_tokens_are_labelled(tagger_artifact: Artifact) -> None:
    tag = pipeline(None, tagger_artifact, variant="fp32")
    huge = "The dog barked at the stranger. " * (1 << 18)
    tracemalloc.start()
    found = tag(huge)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == tag(huge[:10_000])
    assert found[-1]["end"] < 1000
    assert peak < 20 * MIB


def test_case_8_half_of_a_surrogate_pair_is_refused(fill: Any, classify: Any) -> None:
    text = json.loads('"\\ud800"')
    with pytest.raises(InputError, match="text 0: holds a lone surrogate"):
        classify(text)
    with pytest.raises(InputError, match="text 1: holds a lone surrogate"):
        fill([PARIS, text + PARIS])


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a\0b", id="9 NUL"),
        pytest.param("I \U0001f600 it", id="10 emoji"),
        pytest.param("\U0001f468‍\U0001f469‍\U0001f467‍\U0001f466", id="10 ZWJ family"),
        pytest.param("\U0001f1eb\U0001f1f7\U0001f1e9\U0001f1ea", id="10 flags"),
        pytest.param("e" + "\u0301" * 1000, id="10 combining marks"),
        pytest.param("\u05e9\u05dc \u202e\u0639\u0645\u202c ok", id="11 bidi override"),
        pytest.param("\ufeffabc \ufffe \U0010ffff", id="11 BOM and noncharacters"),
        pytest.param("</s><s><pad><unk>", id="12 literal specials"),
        pytest.param("a <pad> b </s> c <s>", id="12 specials between words"),
    ],
)
def test_cases_9_to_12_are_read_as_transformers_reads_them(
    same_labels: Same, ids_of: Any, text: str
) -> None:
    ours, theirs = ids_of(text)
    assert ours == theirs
    same_labels(text, theirs={"truncation": True, "max_length": 64}, top_k=None)


def test_case_10_offsets_split_no_character(fill: Any) -> None:
    text = "\U0001f600 e\u0301 \U0001f468‍\U0001f469 ok"
    encoding = fill.tokenizer.encode([text])[0]
    for start, end in encoding.offsets:
        assert 0 <= start <= end <= len(text)
    assert {text[start:end] for start, end in encoding.offsets} >= {"\U0001f600"}


@pytest.mark.parametrize("wrong", [None, 5, b"text", float("nan"), {"a": 1}], ids=repr)
def test_case_13_what_is_no_text_is_refused_by_its_index(classify: Any, wrong: Any) -> None:
    with pytest.raises(InputError, match=r"^text 2: "):
        classify(["a", "b", wrong])


def test_case_14_nested_lists_are_refused_and_pairs_have_their_form(
    classify: Any, same_labels: Same
) -> None:
    with pytest.raises(InputError, match=r"^text 0: must be a string, or a pair"):
        classify([["a"]])
    with pytest.raises(InputError, match=r"^text 0: must be a string, or a pair"):
        classify(("a", "b"))
    same_labels({"text": "a", "text_pair": "b"})


def test_case_15_every_bad_input_is_named_and_none_is_scored(
    classify: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[Any] = []
    monkeypatch.setattr(classify.session, "run", lambda *arrays: ran.append(arrays))
    many: list[Any] = ["good"] * 2000
    many[3], many[1500], many[1999] = None, "\ud800", {"text": 5}
    with pytest.raises(InputError, match=r"^text 3: .*; text 1500: .*; text 1999: .*") as caught:
        classify(many)
    assert str(caught.value).count("text ") >= 3
    assert not ran


@pytest.mark.parametrize("words", [60, 61, 62, 63, 64, 65, 200])
def test_case_16_text_around_the_limit_is_cut(same_labels: Same, words: int) -> None:
    cut = {"truncation": True, "max_length": 64}
    same_labels("very " * words, theirs=cut, top_k=None)
    pair = {"text": "very " * words, "text_pair": "long " * 30}
    same_labels(pair, theirs=cut, top_k=None)


def test_case_17_no_text_gives_no_answer(
    classify: Any, fill: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for pipe in (classify, fill):
        monkeypatch.setattr(pipe.session, "run", None)  # calling it would be an error
        assert pipe([]) == []
        assert list(pipe(iter([]))) == []


def test_case_18_ten_thousand_texts_are_answered_in_order(classify: Any) -> None:
    draw = random.Random(0)  # noqa: S311 - texts, no secret
    words = ["good", "bad", "so so", "never again", "\U0001f600"]
    many = [draw.choice(words) for _ in range(10_000)]
    expected = {word: classify(word)[0] for word in words}
    for text, answer in zip(many, classify(many), strict=True):
        assert answer["label"] == expected[text]["label"]
        assert answer["score"] == pytest.approx(expected[text]["score"], rel=0, abs=1e-6)


def test_case_19_alone_in_a_batch_and_padded(classify: Any) -> None:
    text = "The dog barked."
    alone = classify(text, top_k=None)
    for others in (["a"], ["word " * 50], ["a", "word " * 20, "b"] * 10):
        found = classify([text, *others], top_k=None, batch_size=len(others) + 1)[0]
        for one, other in zip(alone, found, strict=True):
            assert one["label"] == other["label"]
            assert one["score"] == pytest.approx(other["score"], rel=0, abs=1e-6)


def test_case_19_int8_texts_run_alone_are_exactly_alike(classifier_artifact: Artifact) -> None:
    classify = pipeline(None, classifier_artifact, variant="int8", batch_size=1)
    many = ["a", "The dog barked.", "word " * 30]
    assert classify(many) == [classify(text)[0] for text in many]


def test_case_20_order_does_not_matter(classify: Any) -> None:
    many = ["a", "The dog barked.", "word " * 30, "", "a"]
    forward, backward = classify(many, top_k=None), classify(many[::-1], top_k=None)[::-1]
    for one, other in zip(forward, backward, strict=True):
        assert [row["score"] for row in one] == pytest.approx(
            [row["score"] for row in other], rel=0, abs=1e-6
        )
    assert forward[0] == forward[4]


ASKED: dict[str, Callable[[Any], Any]] = {
    "mini": lambda pipe: pipe(PARIS),
    "classifier": lambda pipe: pipe(["a", "b"]),
    "tagger": lambda pipe: pipe("The dog barked."),
    "answerer": lambda pipe: pipe(question="Who barked?", context="The dog barked."),
    "embedder": lambda pipe: pipe("The dog barked."),
}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ASKED)
def test_case_21_values_that_are_not_finite_are_no_answer(
    request: pytest.FixtureRequest, name: str, value: float
) -> None:
    pipe = pipeline(None, request.getfixturevalue(f"{name}_artifact"), variant="fp32")
    call = pipe.session._call

    def damaged(feeds: Any) -> Any:
        *others, last = call(feeds)
        last[-1] = value
        return [*others, last]

    pipe.session._call = damaged
    with pytest.raises(NonFiniteError, match="variant fp32 computed values that are not finite"):
        ASKED[name](pipe)


@pytest.mark.parametrize("negative", [{"pad_token_id": -1}, {"vocab_size": 5}], ids=repr)
def test_case_22_ids_that_the_graph_has_no_row_for_are_refused_at_load(
    broken_artifact: Path, edit_json: Editor, negative: dict[str, int]
) -> None:
    edit_json(broken_artifact, "config.json", lambda tree: tree.update(negative))
    with pytest.raises(ArtifactError, match=r"config\.json|tokenizer\.json"):
        pipeline(None, Artifact(broken_artifact))


def test_case_22_ids_are_never_negative(fill: Any) -> None:
    ids, mask = fill.tokenizer.pad([[0, 5, 2], [0, 2]])
    assert ids.min() >= 0
    assert ids.dtype == mask.dtype == np.int64
    assert mask.tolist() == [[1, 1, 1], [1, 1, 0]]


@pytest.mark.parametrize("name", ["путь 模型 \U0001f600 with spaces", "m" * 250], ids=ascii)
def test_cases_34_and_35_copy_elsewhere_answers_alike(
    mini_artifact: Artifact,
    fill: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    """Names of any kind, another folder later on, and nothing to write to."""
    folder = tmp_path / name
    shutil.copytree(mini_artifact.path, folder)
    for path in (*folder.rglob("*"), folder):
        path.chmod(path.stat().st_mode & ~0o222)
    before = sorted(folder.rglob("*"))
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    moved = pipeline(None, folder.name, variant="fp32", provider="cpu")
    monkeypatch.chdir("/")
    assert moved(PARIS) == fill(PARIS)
    assert sorted(folder.rglob("*")) == before, "whoever may write everywhere finds nothing written"
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode | 0o200)  # pytest removes it
