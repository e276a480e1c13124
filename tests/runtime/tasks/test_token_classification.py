"""Token classification answers what the transformers pipeline answers, oddities included."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers

from distilroberta.export import build
from distilroberta.runtime import Artifact, InputError, pipeline

Same = Callable[..., Any]
SameMaker = Callable[..., Same]
Checkpoint = Callable[..., Path]

# transformers warns of this at every token.
pytestmark = pytest.mark.filterwarnings("ignore:Tokenizer does not support real words")

STRATEGIES = ["none", "simple", "first", "average", "max"]
MAX_LENGTH = 64
TEXT = "The dog barked at the stranger, who (unbelievably) wasn't Mr. O'Neill-Smith."
LONG = " ".join(f"{TEXT} She's in New York;\tit's {year}." for year in range(1990, 1995))
MIDDLE = LONG[:200]
WORDS = ["The", "dog", "barked", "unbelievably", "at", "the", "stranger", "."]

TEXTS = {
    "plain": TEXT,
    "empty": "",
    "one letter": "a",
    "white space": " \t\n ",
    "leading spaces": "   The   dog  barked ",
    "tabs and lines": "The\tdog\nbarked\r\nat",
    "emoji": "I \U0001f600 it \U0001f468‍\U0001f469‍\U0001f467 \U0001f1eb\U0001f1f7.",
    "right to left": "שלום عالم, 'The' dog",
    "accents": "\u00e9t\u00e9 Cafe\u0301 na\u00efve \u00e9",
    "marks and NUL": "\ufeff a\0b \u202e\u202c",
    "literal specials": "a </s> b<s> <pad> c <unk> d<mask> <mask>",
    "no-break and ideographic spaces": "a\u00a0b\u3000c \u00a0<mask>",
    "digits and marks": "1,234.50 -- (3-4) ... http://a.b/c?d=e",
}

BIO = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
LABELS = {
    "BIO": BIO,
    "plain": ["PER", "LOC", "O"],
    "hyphens": ["B-NEW-YORK", "I-NEW-YORK", "X-B-A", "X-I-A", "B-", "I-", "-"],
    "without O": ["I-A", "B-A", "I-B"],
    "two of one name": ["B-A", "B-A", "O"],
}


@pytest.fixture(scope="session")
def make_tagger(make_checkpoint: Checkpoint) -> Checkpoint:
    """Make a checkpoint whose tokenizer says how many tokens the model takes."""

    def make(labels: list[str], *, add_prefix_space: bool = False, **config: Any) -> Path:
        folder = make_checkpoint(
            "token-classification",
            id2label=dict(enumerate(labels)),
            label2id={name: index for index, name in enumerate(labels)},
            **config,
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            folder, model_max_length=MAX_LENGTH, add_prefix_space=add_prefix_space
        )
        tokenizer.save_pretrained(folder)
        return folder

    return make


@pytest.fixture(scope="session")
def same_tags(make_same: SameMaker, make_tagger: Checkpoint) -> Same:
    """Compare the answers of a tagger with BIO labels."""
    return make_same(make_tagger(BIO))


@pytest.fixture(scope="session")
def same_words(make_same: SameMaker, make_tagger: Checkpoint) -> Same:
    """Compare those of one that puts a space before every text, as lists of words need it."""
    return make_same(make_tagger(BIO, add_prefix_space=True))


@pytest.fixture(scope="session")
def tag(tagger_artifact: Artifact) -> Any:
    """A token classification pipeline in FP32."""
    return pipeline("ner", tagger_artifact, variant="fp32", provider="cpu")


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_text_is_answered_as_transformers_does(same_tags: Same, text: str, strategy: str) -> None:
    same_tags(text, aggregation_strategy=strategy, ignore_labels=[])


@pytest.mark.parametrize(
    "inputs",
    [
        pytest.param(TEXT, id="one"),
        pytest.param([TEXT], id="list of one"),
        pytest.param([*TEXTS.values()], id="list"),
        pytest.param(lambda: (text for text in TEXTS.values()), id="generator"),
    ],
)
def test_container_decides_the_nesting(same_tags: Same, inputs: Any) -> None:
    same_tags(inputs)
    same_tags(inputs, aggregation_strategy="first")
    same_tags(inputs, batch_size=3, aggregation_strategy="simple")


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_names_of_labels(make_same: SameMaker, make_tagger: Checkpoint, labels: list[str]) -> None:
    same = make_same(make_tagger(labels))
    for strategy in STRATEGIES:
        same(TEXT, aggregation_strategy=strategy)
        same(TEXT, aggregation_strategy=strategy, ignore_labels=["A", "PER"])
        same(MIDDLE, aggregation_strategy=strategy, defaults={"stride": 10})


@pytest.mark.parametrize(
    "config",
    [
        {"num_hidden_layers": 1},
        {"num_hidden_layers": 3, "hidden_size": 48, "num_attention_heads": 3},
        {"hidden_size": 128, "intermediate_size": 64, "num_attention_heads": 8},
        {"max_position_embeddings": 130},
    ],
    ids=str,
)
def test_shape_of_the_model(
    make_same: SameMaker, make_tagger: Checkpoint, config: dict[str, Any]
) -> None:
    same = make_same(make_tagger([*BIO, "B-ORG", "I-ORG"], **config))
    for strategy in STRATEGIES:
        same([*TEXTS.values(), LONG], aggregation_strategy=strategy)
    same([*TEXTS.values(), LONG], aggregation_strategy="max", stride=5)


@pytest.mark.parametrize(
    "ignored", [[], ["O"], ["B-PER", "I-LOC"], ["PER"], ("O", "LOC"), ["other"], BIO]
)
def test_labels_to_ignore(same_tags: Same, ignored: list[str]) -> None:
    for strategy in ("none", "simple", "average"):
        same_tags([TEXT, LONG], aggregation_strategy=strategy, ignore_labels=ignored)
    same_tags(TEXT, defaults={"ignore_labels": ignored})


def test_call_overrules_the_default(same_tags: Same) -> None:
    defaults = {"aggregation_strategy": "simple", "ignore_labels": []}
    same_tags(TEXT, defaults=defaults)
    same_tags(TEXT, defaults=defaults, aggregation_strategy="none", ignore_labels=["B-PER"])
    same_tags(LONG, defaults={"aggregation_strategy": "max"}, stride=7)
    same_tags(LONG, defaults={"aggregation_strategy": "max", "stride": 7}, stride=20)
    same_tags(LONG, defaults={"aggregation_strategy": "max", "stride": 7}, ignore_labels=["PER"])


@pytest.mark.parametrize("strategy", ["SIMPLE", "Max"])
def test_strategy_in_capitals(same_tags: Same, strategy: str) -> None:
    same_tags(TEXT, aggregation_strategy=strategy)


def test_strategy_of_transformers(same_tags: Same) -> None:
    kind = transformers.pipelines.token_classification.AggregationStrategy
    same_tags(TEXT, aggregation_strategy=kind.AVERAGE)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_long_text_is_answered_as_its_beginning(same_tags: Same, strategy: str) -> None:
    found = same_tags(LONG, aggregation_strategy=strategy, ignore_labels=[])
    assert 0 < max(entity["end"] for entity in found) < len(LONG) / 2


@pytest.mark.parametrize("stride", [0, 1, 10, 32, 61])
@pytest.mark.parametrize("strategy", STRATEGIES[1:])
def test_long_text_in_windows(same_tags: Same, strategy: str, stride: int) -> None:
    long = LONG if stride < 60 else MIDDLE
    for text in (long, "  " + MIDDLE, "\U0001f600 " * 30, TEXT, ""):
        same_tags(text, aggregation_strategy=strategy, stride=stride, ignore_labels=[])


def test_windows_of_tokens_where_no_strategy_was_named(same_tags: Same) -> None:
    found = same_tags(LONG, stride=20, ignore_labels=[])
    assert {entity["end"] for entity in found} > {len(LONG)}


@pytest.mark.parametrize("length", range(58, 70))
def test_text_about_as_long_as_a_window(same_tags: Same, length: int) -> None:
    for stride in (None, 0, 59):
        parameters = {} if stride is None else {"stride": stride}
        same_tags("dog" + " dog" * (length - 1), aggregation_strategy="simple", **parameters)


@pytest.mark.parametrize("stride", [None, 0, 13])
@pytest.mark.parametrize("strategy", STRATEGIES[1:])
def test_prefix_space(same_words: Same, strategy: str, stride: int | None) -> None:
    parameters = {} if stride is None else {"stride": stride}
    spaced = MIDDLE.replace(" ", "   ")
    for text in (MIDDLE, " " + spaced, spaced.replace("dog", "<mask>"), TEXT, ""):
        same_words(text, aggregation_strategy=strategy, ignore_labels=[], **parameters)


LISTS = {
    "words": WORDS,
    "one word": ["unbelievably"],
    "empty words": ["", "a", "", "b"],
    "spaces in words": [" dog", "cat ", "a b", "  ", "\t", "New  York"],
    "other scripts": ["\u00e9t\u00e9", "\U0001f468‍\U0001f469‍\U0001f467", "שלום", "\0"],
    "specials": ["a", "<mask>", "</s>", "<unk>", "b<s>"],
    "long": MIDDLE.split(),
    "one long word": ["a", "dog" * 50, "b"],
}


@pytest.mark.parametrize("delimiter", [None, "", " / "], ids=repr)
@pytest.mark.parametrize("words", LISTS.values(), ids=LISTS)
def test_words(same_words: Same, words: list[str], delimiter: str | None) -> None:
    parameters = {} if delimiter is None else {"delimiter": delimiter}
    for strategy in STRATEGIES:
        same_words(
            words,
            is_split_into_words=True,
            aggregation_strategy=strategy,
            ignore_labels=[],
            **parameters,
        )


def test_nesting_of_words(same_words: Same) -> None:
    alone = same_words(WORDS, is_split_into_words=True)
    assert alone == same_words([WORDS], is_split_into_words=True)
    assert alone == same_words([WORDS, ["a"]], is_split_into_words=True)[:1]


@pytest.mark.parametrize("stride", [0, 13])
@pytest.mark.parametrize("strategy", STRATEGIES[1:])
def test_words_in_windows(same_words: Same, strategy: str, stride: int) -> None:
    parameters = {"aggregation_strategy": strategy, "stride": stride, "ignore_labels": []}
    for words in (LISTS["long"], LISTS["one long word"], LISTS["spaces in words"] * 10, []):
        same_words([words, WORDS], is_split_into_words=True, **parameters)


def test_words_without_a_prefix_space(make_tagger: Checkpoint, make_same: SameMaker) -> None:
    # transformers asserts then, and says to load the tokenizer with it. So that is ours to match.
    plain = make_tagger(BIO)
    spaced = make_tagger(BIO, add_prefix_space=True)
    ours = pipeline(None, build(plain, plain / "built", variants=["fp32"]), provider="cpu")
    expected = make_same(spaced)(WORDS, is_split_into_words=True, ignore_labels=[])
    assert ours(WORDS, is_split_into_words=True, ignore_labels=[]) == expected
    assert ours(TEXT) == make_same(plain)(TEXT)


def test_words_as_a_default_and_lazily(tag: Any, tagger_artifact: Artifact) -> None:
    # transformers forgets the default, and reads a generator to find out what it holds.
    split = pipeline("ner", tagger_artifact, variant="fp32", is_split_into_words=True)
    expected = tag([WORDS, WORDS[:3]], is_split_into_words=True)
    assert split([WORDS, WORDS[:3]]) == expected
    lazily = split(words for words in [WORDS, WORDS[:3]])
    assert isinstance(lazily, Iterator)
    assert list(lazily) == expected
    assert split(TEXT, is_split_into_words=False) == tag(TEXT)


def test_offset_mapping(same_tags: Same) -> None:
    offsets = [(0, 0), (0, 3), (3, 7), (7, 14), (0, 0)]
    for strategy in STRATEGIES:
        parameters = {"aggregation_strategy": strategy, "ignore_labels": []}
        same_tags("The dog ran", offset_mapping=offsets, **parameters)
        same_tags(["The dog ran"], offset_mapping=[offsets], **parameters)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        pytest.param(None, "text 0: must be a string, found NoneType", id="None"),
        pytest.param(5, "text 0: must be a string, found int", id="number"),
        pytest.param(b"text", "text 0: must be a string, found bytes", id="bytes"),
        pytest.param((TEXT, TEXT), "text 0: must be a string, found tuple", id="tuple"),
        pytest.param({"text": TEXT}, "text 0: must be a string, found dict", id="dict"),
        pytest.param([TEXT, WORDS], "text 1: must be a string, found list", id="nested list"),
        pytest.param([TEXT, "\ud800"], "text 1: holds a lone surrogate", id="lone surrogate"),
        pytest.param([None, TEXT, 5], r"text 0: .*; text 2: ", id="two of three"),
    ],
)
def test_wrong_input_is_refused_by_its_index(tag: Any, inputs: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        tag(inputs)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        pytest.param(TEXT, "text 0: must be a list of words, found str", id="text"),
        pytest.param(["a", 5], "text 0: word 1 must be a string, found int", id="number"),
        pytest.param([WORDS, ["a", None]], "text 1: word 1 must be .* NoneType", id="None"),
        pytest.param([WORDS, "a"], "text 0: word 0 must be a string, found list", id="mixed"),
        pytest.param([WORDS, ["\udc00"]], "text 1: holds a lone surrogate", id="surrogate"),
        pytest.param((("a", "b"),), "text 0: must be a list of words, found tuple", id="tuple"),
    ],
)
def test_wrong_words_are_refused_by_their_index(tag: Any, inputs: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        tag(inputs, is_split_into_words=True)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"aggregation_strategy": "mean"}, "must be one of none, simple, first, average, max"),
        ({"aggregation_strategy": 1}, "aggregation_strategy must be one of"),
        ({"aggregation_strategy": ""}, "aggregation_strategy must be one of"),
        ({"aggregation_strategy": np.array([1, 2])}, "aggregation_strategy must be one of"),
        ({"ignore_labels": np.array("O")}, "ignore_labels must be a list of names"),
        ({"stride": np.array([1, 2])}, "stride must be a whole number from 0 to 61, found array"),
        ({"ignore_labels": "O"}, "ignore_labels must be a list of names of labels, found 'O'"),
        ({"ignore_labels": [0]}, "ignore_labels must be a list of names"),
        ({"ignore_labels": 5}, "ignore_labels must be a list of names"),
        ({"stride": -1}, "stride must be a whole number from 0 to 61, found -1"),
        ({"stride": 62}, "stride must be a whole number from 0 to 61, found 62"),
        ({"stride": 2.0}, "stride must be a whole number"),
        ({"stride": True}, "stride must be a whole number"),
        ({"stride": 5, "aggregation_strategy": "none"}, "aggregation_strategy must not be none"),
        ({"is_split_into_words": 1}, "is_split_into_words must be True or False, found 1"),
        ({"delimiter": 5}, "delimiter must be a string, found 5"),
    ],
    ids=str,
)
def test_wrong_parameter(
    tag: Any, tagger_artifact: Artifact, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        tag(TEXT, **parameters)
    with pytest.raises(InputError, match=message):
        pipeline("ner", tagger_artifact, **parameters)


@pytest.mark.parametrize(
    ("inputs", "parameters", "message"),
    [
        (TEXT, {"offset_mapping": [(0, 3)]}, "text 0: has .* tokens, for which offset_mapping has"),
        (TEXT, {"offset_mapping": "ab"}, "must be a list of .start, end., in characters"),
        (TEXT, {"offset_mapping": [(0, "3")]}, "must be a list of .start, end., in characters"),
        ([TEXT, TEXT], {"offset_mapping": [(0, 3)]}, "offset_mapping is for one text"),
        (iter([TEXT]), {"offset_mapping": [(0, 3)]}, "offset_mapping is for one text"),
        (TEXT, {"offset_mapping": [(0, 3)], "stride": 3}, "offset_mapping is for one window"),
    ],
)
def test_wrong_offset_mapping(
    tag: Any, inputs: Any, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        tag(inputs, **parameters)


def test_parameters_that_transformers_retires_are_unknown(tagger_artifact: Artifact) -> None:
    with pytest.raises(InputError, match="no parameter grouped_entities; it has aggregation_st"):
        pipeline("ner", tagger_artifact, grouped_entities=True)


def test_pickled_copy_keeps_the_defaults(tag: Any, tagger_artifact: Artifact) -> None:
    kept = pipeline(
        None,
        tagger_artifact,
        variant="fp32",
        stride=3,
        aggregation_strategy="max",
        ignore_labels=iter(["A", "O"]),
    )
    copy = pickle.loads(pickle.dumps(kept))  # noqa: S301
    assert copy(LONG) == kept(LONG) != tag(LONG)


def test_nothing_in_nothing_out(tag: Any) -> None:
    assert tag([]) == []
    assert tag([], is_split_into_words=True) == []
    assert list(tag(iter([]))) == []


def test_answer_is_json(tag: Any) -> None:
    for strategy in STRATEGIES:
        answer = tag([TEXT, LONG], aggregation_strategy=strategy, ignore_labels=[])
        assert json.loads(json.dumps(answer)) == answer


@pytest.mark.parametrize("variant", ["fp32", "fp16", "int8"])
def test_answer_does_not_depend_on_the_neighbours(tagger_artifact: Artifact, variant: str) -> None:
    tag = pipeline("ner", tagger_artifact, variant=variant, aggregation_strategy="simple")
    texts = [*TEXTS.values()]
    alone = [_without_scores(tag(text)) for text in texts]
    assert [*map(_without_scores, tag(texts))] == alone
    assert [*map(_without_scores, tag(texts[::-1]))] == alone[::-1]
    assert [*map(_without_scores, tag(iter(texts)))] == alone


def _without_scores(entities: list[dict[str, Any]]) -> list[dict[str, Any]]:
    # FP16 scores differ in the last bits with the length of the batch.
    return [{key: entity[key] for key in entity if key != "score"} for entity in entities]


def test_model_that_takes_more_tokens_than_its_tokenizer_says(
    make_tagger: Checkpoint, make_same: SameMaker
) -> None:
    same = make_same(make_tagger(BIO, max_position_embeddings=514))
    assert max(entity["index"] for entity in same(LONG, ignore_labels=[])) == MAX_LENGTH - 2


@pytest.fixture(scope="session")
def chunker(reality: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Artifact]:
    """A real tagger, whose tokenizer is told how many tokens the model takes; and its artifact."""
    folder = tmp_path_factory.mktemp("real")
    checkpoint = shutil.copytree(reality / "chunk", folder / "chunk")
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint, model_max_length=512)
    tokenizer.save_pretrained(checkpoint)
    return checkpoint, build(checkpoint, folder / "built", variants=["fp32"])


@pytest.fixture(scope="session")
def sentences(reality: Path) -> list[list[tuple[str, str]]]:
    """The words of real sentences, each with its tag."""
    blocks = (reality / "data" / "chunk-dev.txt").read_text("utf-8").strip().split("\n\n")
    rows = [[line.split() for line in block.split("\n")] for block in blocks]
    return [[(word, tag) for word, _, tag in row] for row in rows]


def test_real_sentences(
    make_same: SameMaker, chunker: tuple[Path, Artifact], sentences: list[list[tuple[str, str]]]
) -> None:
    same = make_same(*chunker)
    texts = [" ".join(word for word, _ in sentence) for sentence in sentences[:24]]
    for strategy in STRATEGIES:
        same(texts[:8], aggregation_strategy=strategy)
    same(" ".join(texts), aggregation_strategy="first")
    same(" ".join(texts), aggregation_strategy="average", stride=100)


def test_real_words_get_their_tags(
    chunker: tuple[Path, Artifact], sentences: list[list[tuple[str, str]]]
) -> None:
    # The tokenizer of this checkpoint adds no prefix space, so transformers would refuse.
    tag = pipeline(None, chunker[1], is_split_into_words=True, ignore_labels=[])
    right = []
    for sentence in sentences[:50]:
        words, tags = zip(*sentence, strict=True)
        starts = np.cumsum([0, *(len(word) + 1 for word in words[:-1])]).tolist()
        entities = tag([*words])[0]
        found = {entity["start"]: entity["entity"] for entity in reversed(entities)}
        right += [found[start] == known for start, known in zip(starts, tags, strict=True)]
    assert np.mean(right) > 0.96  # of all sentences as texts: 97.2%
