from __future__ import annotations

import itertools

import pytest
import tokenizers

from distilroberta.bench.costs.mixed_inputs import Corpus, draw
from distilroberta.quantize import calibration_text
from distilroberta.runtime import Artifact

MASK = "<mask>"
COUNT = 400


@pytest.fixture(scope="module")
def tokenizer(mini_artifact: Artifact) -> tokenizers.Tokenizer:
    loaded = tokenizers.Tokenizer.from_file(str(mini_artifact.file("tokenizer.json")))
    loaded.no_truncation()
    return loaded


@pytest.fixture(scope="module")
def corpus(tokenizer: tokenizers.Tokenizer) -> Corpus:
    text = calibration_text.DEFAULT.read_text("utf-8")
    return Corpus(text, tokenizer.encode(text, add_special_tokens=False).offsets)


def test_texts_are_of_every_length_and_none_is_too_long(
    corpus: Corpus, tokenizer: tokenizers.Tokenizer
) -> None:
    inputs = list(itertools.islice(draw(corpus, MASK, 512, 0), COUNT))
    lists = [one for one in inputs if isinstance(one, list)]
    assert COUNT / 16 < len(lists) < COUNT / 4
    assert {len(one) for one in lists} == set(range(2, 9))
    texts = [text for one in inputs for text in (one if isinstance(one, list) else [one])]
    encodings = tokenizer.encode_batch(texts)
    lengths = [len(encoding.ids) for encoding in encodings]
    assert min(lengths) == 3
    assert 450 < max(lengths) <= 512
    assert len(set(lengths)) > 100
    mask = tokenizer.token_to_id(MASK)
    masks = [encoding.ids.count(mask) for encoding in encodings]
    assert set(masks) == {1, 2, 3, 4}
    assert masks.count(1) > 0.8 * len(masks)


def test_a_seed_gives_the_same_inputs(corpus: Corpus) -> None:
    one, again, other = (
        list(itertools.islice(draw(corpus, MASK, 512, seed), 50)) for seed in (0, 0, 1)
    )
    assert one == again != other


def test_tokens_of_one_character_are_replaced_together() -> None:
    """A character of several tokens, as byte-level BPE has them."""
    corpus = Corpus("a😀b", [(0, 1), (1, 2), (1, 2), (1, 2), (2, 3)])
    for text in itertools.islice(draw(corpus, MASK, 512, 0), 300):
        for one in text if isinstance(text, list) else [text]:
            assert set(one.replace(MASK, "").replace(" ", "")) <= {"a", "😀", "b"}
