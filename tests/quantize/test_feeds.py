"""Calibration texts as batches: the tokens, and which of them are masked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoTokenizer

from distilroberta.quantize.calibration_text import Texts
from distilroberta.quantize.feeds import Feeds
from distilroberta.quantize.recipe import Feed
from distilroberta.runtime import InputError
from distilroberta.runtime.tasks.model_config import ModelConfig
from distilroberta.runtime.tasks.tokenizer import Tokenizer

# Makes the batches of texts: `make(task, texts)`.
Make = Callable[..., Feeds]

TEXTS = ["One text.", ("A question?", "A context that answers it."), "", "ok"]


@pytest.fixture(scope="module")
def make(mini: Path) -> Make:
    tokenizer = Tokenizer(mini, ModelConfig.read(mini / "config.json"))
    return lambda task, texts: Feeds(tokenizer, task, texts)


@pytest.fixture(scope="module")
def peer(mini: Path) -> Any:
    """The tokenizer of transformers."""
    return AutoTokenizer.from_pretrained(mini)


def same(first: Feed, second: Feed) -> bool:
    return first.keys() == second.keys() and all(
        np.array_equal(first[name], second[name]) for name in first
    )


@pytest.mark.parametrize("task", ["text-classification", "token-classification"])
def test_batch_is_one_text_as_transformers_has_it(make: Make, peer: Any, task: str) -> None:
    batches = list(make(task, TEXTS))
    assert len(batches) == len(TEXTS)
    for batch, text in zip(batches, TEXTS, strict=True):
        wanted = peer(*(text if isinstance(text, tuple) else (text,)))["input_ids"]
        assert batch["input_ids"].tolist() == [wanted]
        assert batch["attention_mask"].tolist() == [[1] * len(wanted)]
        assert {values.dtype for values in batch.values()} == {np.dtype(np.int64)}


def test_long_text_is_cut_to_the_model(make: Make, mini: Path) -> None:
    (batch,) = make("text-classification", ["word " * 2000])
    longest = ModelConfig.read(mini / "config.json").max_length
    assert batch["input_ids"].shape == (1, longest)


def test_fill_mask_has_masks_in_place_of_ordinary_tokens(make: Make, peer: Any) -> None:
    texts = [text for text in Texts() if text]
    masked = 0
    total = 0
    for batch, text in zip(make("fill-mask", texts), texts, strict=True):
        ids = batch["input_ids"][0]
        plain = np.array(peer(text, truncation=True)["input_ids"])
        is_masked = ids != plain
        assert is_masked.any()
        assert (ids[is_masked] == peer.mask_token_id).all()
        assert not is_masked[[0, -1]].any()
        masked += int(is_masked.sum())
        total += len(ids) - 2
    assert 0.12 < masked / total < 0.20


def test_pair_keeps_its_separators(make: Make, peer: Any) -> None:
    pair = ("a " * 50, "b " * 50)
    (batch,) = make("fill-mask", [pair])
    plain = np.array(peer(*pair)["input_ids"])
    special = np.isin(plain, [peer.bos_token_id, peer.eos_token_id])
    assert special.sum() == 4
    assert np.array_equal(batch["input_ids"][0][special], plain[special])


def test_short_text_has_one_mask(make: Make, peer: Any) -> None:
    assert len(peer("ok")["input_ids"]) == 3
    for batch in make("fill-mask", ["ok"] * 5):
        assert batch["input_ids"][0, 1] == peer.mask_token_id


def test_text_with_nothing_to_mask_is_left_out(make: Make) -> None:
    assert len(list(make("fill-mask", ["", "ok", ""]))) == 1


def test_every_pass_gives_the_same(make: Make) -> None:
    batches = make("fill-mask", list(Texts())[:20])
    first, second = list(batches), list(batches)
    assert len(first) == 20
    assert all(same(*pair) for pair in zip(first, second, strict=True))


def test_texts_are_read_as_they_are_needed(make: Make) -> None:
    def texts() -> Any:
        yield "first"
        raise AssertionError("read too far")

    assert next(iter(make("fill-mask", texts())))["input_ids"].shape[0] == 1


def test_half_a_surrogate_pair_is_named(make: Make) -> None:
    with pytest.raises(InputError, match="calibration text 2 holds a lone surrogate"):
        list(make("text-classification", ["fine", "half \ud800"]))
