"""Question answering answers what the transformers pipeline answers, oddities included."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers

from distilroberta.runtime import Artifact, InputError, pipeline

Same = Callable[..., Any]
SameMaker = Callable[..., Same]
Checkpoint = Callable[..., Path]

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation"),  # of transformers and NumPy 2
    pytest.mark.filterwarnings("ignore:Passing a list of SQuAD examples"),  # or a dict, or a tuple
]

MAX_LENGTH = 64
QUESTION = "Who barked at the stranger?"
CONTEXT = "The dog barked at the stranger, who (unbelievably) wasn't Mr. O'Neill-Smith."
LONG = " ".join(f"{CONTEXT} She's in New York;\tit's {year}." for year in range(1990, 1996))
EXAMPLE = {"question": QUESTION, "context": CONTEXT}
EXAMPLES = [
    EXAMPLE,
    {"question": "Where is she?", "context": LONG},
    {"question": "What is it?", "context": "dog"},
]

CONTEXTS = {
    "plain": CONTEXT,
    "long": LONG,
    "one letter": "a",
    "one word": "unbelievably",
    "white space": " \t\n ",
    "leading spaces": "   The   dog  barked ",
    "tabs and lines": "The\tdog\nbarked\r\nat",
    "emoji": "I \U0001f600 it \U0001f468‍\U0001f469‍\U0001f467 \U0001f1eb\U0001f1f7.",
    "right to left": "שלום عالم, 'The' dog",
    "accents": "\u00e9t\u00e9 \u00c9T\u00c9 Cafe\u0301 na\u00efve",
    "marks and NUL": "\ufeff a\0b \u202e\u202c",
    "literal specials": "a </s> b<s> <pad> c <unk> d<mask> <mask> <s>",
    "one word many times": "dog Dog DOG dog " * 20,
    "one long word": "dog" * 100,
    "no spaces": "http://a.b/c?d=e&f=g#" * 10,
}


@pytest.fixture(scope="session")
def make_answerer(make_checkpoint: Checkpoint) -> Checkpoint:
    """Make a checkpoint whose tokenizer says how many tokens the model takes."""

    def make(*, add_prefix_space: bool = False, **config: Any) -> Path:
        folder = make_checkpoint("question-answering", **config)
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            folder, model_max_length=MAX_LENGTH, add_prefix_space=add_prefix_space
        )
        tokenizer.save_pretrained(folder)
        return folder

    return make


@pytest.fixture(scope="session")
def same_answers(make_same: SameMaker, make_answerer: Checkpoint) -> Same:
    """Compare the answers of a random checkpoint."""
    return make_same(make_answerer())


@pytest.fixture(scope="session")
def answer(answerer_artifact: Artifact) -> Any:
    """A question answering pipeline in FP32."""
    return pipeline("question-answering", answerer_artifact, variant="fp32", provider="cpu")


PARAMETERS: list[dict[str, Any]] = [
    {},
    {"top_k": 3},
    {"top_k": 50},
    {"handle_impossible_answer": True},
    {"handle_impossible_answer": True, "top_k": 4},
    {"align_to_words": False},
    {"align_to_words": False, "top_k": 5, "max_answer_len": 30},
    {"max_answer_len": 1, "top_k": 30},
    {"max_answer_len": 1000, "top_k": 2},
    {"padding": "max_length"},
]


@pytest.mark.parametrize("parameters", PARAMETERS, ids=str)
@pytest.mark.parametrize("context", CONTEXTS.values(), ids=CONTEXTS)
def test_context_is_answered_as_transformers_does(
    same_answers: Same, context: str, parameters: dict[str, Any]
) -> None:
    same_answers(question=QUESTION, context=context, **parameters)


@pytest.mark.parametrize(
    "question",
    [
        "?",
        "  Who  ",
        "Who <s> barked <s>?",
        "</s>",
        "<mask>",
        "\U0001f600 שלום",
        "a\0b",
        LONG[:110],
    ],
)
def test_question_is_taken_as_transformers_does(same_answers: Same, question: str) -> None:
    for context in (CONTEXT, LONG, "a <s> b"):
        for parameters in PARAMETERS[:6]:
            stride = {"doc_stride": 5} if len(question) > 99 else {}
            same_answers(question=question, context=context, **parameters, **stride)


@pytest.mark.parametrize(
    "inputs",
    [
        pytest.param(EXAMPLE, id="one"),
        pytest.param([EXAMPLE], id="list of one"),
        pytest.param(EXAMPLES, id="list"),
        pytest.param((EXAMPLE, EXAMPLE), id="tuple"),
        pytest.param(lambda: (example for example in EXAMPLES), id="generator"),
        pytest.param(
            lambda: ({**example, "id": 5} for example in EXAMPLES), id="generator with other keys"
        ),
    ],
)
def test_container_decides_the_nesting(same_answers: Same, inputs: Any) -> None:
    same_answers(inputs)
    same_answers(inputs, top_k=3)
    same_answers(inputs, batch_size=2)


@pytest.mark.parametrize(
    ("question", "context"),
    [
        pytest.param(QUESTION, CONTEXT, id="one"),
        pytest.param([QUESTION], CONTEXT, id="list of one"),
        pytest.param([QUESTION], [CONTEXT], id="two lists of one"),
        pytest.param([QUESTION, "Where?"], CONTEXT, id="list and one context"),
        pytest.param([QUESTION, "Where?"], [CONTEXT, LONG], id="lists"),
    ],
)
def test_lists_of_questions(same_answers: Same, question: Any, context: Any) -> None:
    same_answers(question=question, context=context)
    same_answers(question=question, context=context, top_k=2)


@pytest.mark.parametrize(
    ("max_seq_len", "doc_stride"),
    [
        (20, 0),
        (20, 1),
        (20, 7),
        (20, 9),
        (33, 15),
        (64, 0),
        (64, 10),
        (64, 50),
        (64, 53),
        (40, None),
    ],
)
def test_windows(same_answers: Same, max_seq_len: int, doc_stride: int | None) -> None:
    call: dict[str, Any] = {"max_seq_len": max_seq_len}
    if doc_stride is not None:
        call["doc_stride"] = doc_stride
    for context in (LONG[:200], "a <s> b " * 12):
        for parameters in ({}, {"top_k": 3, "handle_impossible_answer": True}):
            same_answers(question="Who?", context=context, **parameters, **call)
        call["align_to_words"] = False


@pytest.mark.parametrize("length", range(50, 64))
def test_context_about_as_long_as_a_window(same_answers: Same, length: int) -> None:
    for stride in (0, 20):
        same_answers(question="Who?", context="dog" + " dog" * length, doc_stride=stride, top_k=3)


def test_context_that_fits_needs_no_stride(answer: Any) -> None:
    # transformers refuses, as the tokenizer can't cut such windows.
    assert answer(EXAMPLE, max_seq_len=60, doc_stride=60) == answer(EXAMPLE)


def test_prefix_space(make_same: SameMaker, make_answerer: Checkpoint) -> None:
    same = make_same(make_answerer(add_prefix_space=True))
    spaced = LONG[:250].replace(" ", "   ")
    for context in (CONTEXT, spaced, "  dog" * 40, CONTEXTS["literal specials"] * 4):
        for parameters in PARAMETERS:
            same(question=QUESTION, context=context, doc_stride=13, **parameters)


@pytest.mark.parametrize(
    "config",
    [
        {"num_hidden_layers": 1},
        {"num_hidden_layers": 3, "hidden_size": 48, "num_attention_heads": 3},
        {"hidden_size": 128, "intermediate_size": 64, "num_attention_heads": 8},
        {"max_position_embeddings": 130},
        {"initializer_range": 0.4},
    ],
    ids=str,
)
def test_shape_of_the_model(
    make_same: SameMaker, make_answerer: Checkpoint, config: dict[str, Any]
) -> None:
    same = make_same(make_answerer(**config))
    for parameters in PARAMETERS[2:]:
        same(EXAMPLES, **parameters)


def test_call_overrules_the_default(same_answers: Same) -> None:
    defaults = {"top_k": 4, "doc_stride": 11, "handle_impossible_answer": True}
    same_answers(question=QUESTION, context=LONG, defaults=defaults)
    same_answers(question=QUESTION, context=LONG, defaults=defaults, top_k=2)
    call = {"handle_impossible_answer": False, "max_answer_len": 2, "align_to_words": False}
    same_answers(question=QUESTION, context=LONG, defaults=defaults, **call)


@pytest.mark.parametrize("length", [1, 5, 64])
def test_question_that_fits_is_kept_whole(same_answers: Same, length: int) -> None:
    # transformers cuts a question with slow tokenizers alone.
    same_answers(question=QUESTION * 3, context=CONTEXT, max_question_len=length)


def test_question_that_leaves_no_room_is_cut(answer: Any) -> None:
    # transformers panics.
    long = "a" + " a" * 100
    found = answer(question=long, context=CONTEXT, max_question_len=3)
    assert found == answer(question="a a a", context=CONTEXT)
    with pytest.raises(InputError, match="text 0: max_seq_len 64 leaves 0 tokens for the context"):
        answer(question=long, context=CONTEXT)


def test_windows_may_be_asked_to_be_longer_than_the_model_takes(answer: Any) -> None:
    # transformers runs into an index error.
    parameters = {"question": QUESTION, "context": LONG}
    assert answer(**parameters, max_seq_len=1000) == answer(**parameters, max_seq_len=64)


def test_many_windows(same_answers: Same) -> None:
    found = same_answers(question=QUESTION, context=LONG * 8, top_k=200, doc_stride=10)
    assert len(found) == 200


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        pytest.param(
            5, 'text 0: must be {"question": ..., "context": ...}, found int', id="number"
        ),
        pytest.param(QUESTION, "text 0: must be .*, found str", id="text"),
        pytest.param([EXAMPLE, [EXAMPLE]], "text 1: must be .*, found list", id="nested list"),
        pytest.param({}, "text 0: question must be a string, found none", id="empty dict"),
        pytest.param({"question": "a"}, "text 0: context must be .* found none", id="no context"),
        pytest.param([{**EXAMPLE, "context": 5}], "context must be .* found int", id="wrong kind"),
        pytest.param({**EXAMPLE, "context": None}, "context must be .* NoneType", id="None"),
        pytest.param({**EXAMPLE, "context": [CONTEXT]}, "context must be .* found list", id="list"),
        pytest.param({**EXAMPLE, "question": ""}, "text 0: question is empty", id="no question"),
        pytest.param([EXAMPLE, {**EXAMPLE, "context": ""}], "text 1: context is empty", id="empty"),
        pytest.param({**EXAMPLE, "context": "\ud800"}, "text 0: holds a lone", id="surrogate"),
        pytest.param([5, EXAMPLE, None], "text 0: .*; text 2: ", id="two of three"),
        pytest.param(None, "give question= and context=", id="None"),
    ],
)
def test_wrong_input_is_refused_by_its_index(answer: Any, inputs: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        answer(inputs)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"question": QUESTION}, "text 0: context must be a string, found NoneType"),
        ({"context": CONTEXT}, "text 0: question must be a string, found NoneType"),
        ({"question": QUESTION, "context": [CONTEXT]}, "context is a list: give a list"),
        ({"question": ["a", "b"], "context": ["c"]}, "there are 2 questions and 1 contexts"),
        ({"question": ["a", ""], "context": "c"}, "text 1: question is empty"),
        ({"inputs": EXAMPLE, "question": "a"}, "give either examples, or question= and context="),
    ],
    ids=str,
)
def test_wrong_question_or_context(answer: Any, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        answer(**parameters)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"top_k": 0}, "top_k must be a whole number from 1 up, found 0"),
        ({"top_k": "3"}, "top_k must be a whole number from 1 up, found '3'"),
        ({"top_k": True}, "top_k must be a whole number"),
        ({"max_answer_len": 0}, "max_answer_len must be a whole number from 1 up, found 0"),
        ({"max_seq_len": 0}, "max_seq_len must be a whole number from 1 up, found 0"),
        ({"max_seq_len": 2.5}, "max_seq_len must be a whole number"),
        ({"max_question_len": 0}, "max_question_len must be a whole number from 1 up"),
        ({"doc_stride": -1}, "doc_stride must be a whole number from 0 up, found -1"),
        ({"doc_stride": 70}, "doc_stride must be at most max_seq_len, 64, found 70"),
        ({"max_seq_len": 20, "doc_stride": 21}, "doc_stride must be at most max_seq_len, 20"),
        ({"handle_impossible_answer": 1}, "handle_impossible_answer must be True or False"),
        ({"top_k": np.array([1, 2])}, "top_k must be a whole number from 1 up, found array"),
        ({"padding": "longst"}, "padding must be one of None, True, False, 'longest', .*'longst'"),
        ({"padding": 1}, "padding must be one of"),
        ({"padding": ""}, "padding must be one of"),
        ({"padding": np.array([1, 2])}, "padding must be one of"),
        ({"align_to_words": "no"}, "align_to_words must be True or False, found 'no'"),
    ],
    ids=str,
)
def test_wrong_parameter(
    answer: Any, answerer_artifact: Artifact, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        answer(EXAMPLE, **parameters)
    with pytest.raises(InputError, match=message):
        pipeline("question-answering", answerer_artifact, **parameters)


@pytest.mark.parametrize(
    "parameters", [{"max_seq_len": 10}, {"max_seq_len": 20, "doc_stride": 20}], ids=str
)
def test_window_without_room_is_refused(answer: Any, parameters: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"text 1: max_seq_len .* leaves .* tokens for"):
        answer([{"question": "a", "context": "b"}, EXAMPLE], **parameters)


def test_pickled_copy_keeps_the_defaults(answer: Any, answerer_artifact: Artifact) -> None:
    kept = pipeline(None, answerer_artifact, variant="fp32", top_k=2, doc_stride=3)
    copy = pickle.loads(pickle.dumps(kept))  # noqa: S301
    assert copy(EXAMPLES) == kept(EXAMPLES) != answer(EXAMPLES)


def test_nothing_in_nothing_out(answer: Any) -> None:
    assert answer([]) == []
    assert answer(question=[], context=[]) == []
    assert list(answer(iter([]))) == []


def test_answer_is_json(answer: Any) -> None:
    found = answer(EXAMPLES, top_k=3, handle_impossible_answer=True)
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize("variant", ["fp32", "int8"])
def test_answer_does_not_depend_on_the_neighbours(
    answerer_artifact: Artifact, variant: str
) -> None:
    answer = pipeline(None, answerer_artifact, variant=variant, top_k=2)
    alone = [answer(example) for example in EXAMPLES]
    for found in (answer(EXAMPLES), list(answer(iter(EXAMPLES))), answer(EXAMPLES[::-1])[::-1]):
        for rows, expected in zip(found, alone, strict=True):
            for row, other in zip(rows, expected, strict=True):
                assert row == {**other, "score": pytest.approx(other["score"], abs=1e-6)}


@pytest.mark.parametrize("padding", [True, False, "longest", "max_length", "do_not_pad"])
def test_padding_is_taken_as_transformers_does(same_answers: Same, padding: Any) -> None:
    same_answers(EXAMPLES[0], padding=padding)
    same_answers(EXAMPLES[0], defaults={"padding": padding})


def test_strings_of_numpy_are_texts(answer: Any) -> None:
    found = answer({"question": np.str_("What is it?"), "context": np.str_("dog")})
    assert found == answer({"question": "What is it?", "context": "dog"})
    assert type(found["answer"]) is str
