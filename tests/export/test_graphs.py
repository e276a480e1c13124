"""The modules that become graphs answer as the transformers modules they take the weights from.

Compared in FP64, where only a difference in what is computed shows, and none in the order of sums.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import torch
from hypothesis import strategies
from torch import Tensor

from distilroberta.export.checkpoint import Loaded
from distilroberta.export.graphs import (
    FeatureExtraction,
    FillMask,
    QuestionAnswering,
    ServedFillMask,
    TextClassification,
    TokenClassification,
)

Load = Callable[[Path], Loaded]

TOLERANCE = 1e-9

CONFIGS = [
    pytest.param({"num_hidden_layers": 1}, id="1 layer"),
    pytest.param({"num_hidden_layers": 3}, id="3 layers"),
    pytest.param({"num_attention_heads": 1}, id="1 head"),
    pytest.param({"num_attention_heads": 2}, id="2 heads"),
    pytest.param({"num_attention_heads": 3, "hidden_size": 48}, id="3 heads"),
    pytest.param({"intermediate_size": 24}, id="narrow feed-forward"),
    pytest.param({"hidden_act": "relu"}, id="relu"),
    pytest.param({"hidden_act": "gelu_new"}, id="gelu_new"),
    pytest.param({"type_vocab_size": 2}, id="2 token types"),
    pytest.param({"layer_norm_eps": 0.1}, id="large epsilon"),
    pytest.param({"pad_token_id": 6}, id="other padding id"),
]

# A character is a token: <s>, </s>, <m>ask, an ordinary one (.), <p>adding that the attention mask
# hides, the Padding token where the mask does not hide it, an ordinary token that it hides (x).
TEXTS = [
    pytest.param(["s..m..e"], id="one text"),
    pytest.param(["s.m.....e", "s.m..eppp", "smeppp" + "ppp"], id="padding in rows"),
    pytest.param(["smm.me", "s....e", "s.m..e"], id="different numbers of masks"),
    pytest.param(["m.....m", "s..m..e"], id="a mask at either end"),
    pytest.param(["s.PP.mPe"], id="padding ids inside a text"),
    pytest.param(["ps.m.e", "s..m.e"], id="padding at the left"),
    pytest.param(["s.x.m.e", "sx..mxe"], id="hidden tokens"),
    pytest.param(["mmmmm", "mmmmm"], id="masks alone"),
    pytest.param(["m"], id="one token"),
    pytest.param(["s...e", "s.epp"], id="no mask"),
    pytest.param(["s" + "." * 30 + "m" + "." * 31 + "e"], id="longest text"),
]
ALL_KINDS = ["smm.m..e", "s..PP.xe", "s.m.eppp", "ms....mp"]


def encode(rows: Sequence[str], loaded: Loaded) -> tuple[Tensor, Tensor]:
    """Turn rows of token characters into ids and the attention mask, both (batch, length)."""
    tokenizer, padding = loaded.tokenizer, loaded.model.config.pad_token_id
    special = {"s": tokenizer.bos_token_id, "e": tokenizer.eos_token_id, "p": padding, "P": padding}
    special["m"] = tokenizer.mask_token_id
    ordinary = iter(torch.randint(10, 250, (1000,), generator=torch.manual_seed(0)).tolist())
    ids = [[special[kind] if kind in special else next(ordinary) for kind in row] for row in rows]
    mask = [[int(kind not in "px") for kind in row] for row in rows]
    return torch.tensor(ids), torch.tensor(mask)


def expected(loaded: Loaded, ids: Tensor, mask: Tensor) -> Tensor:
    model: Any = loaded.model
    return model(input_ids=ids, attention_mask=mask).logits


def same(found: Tensor, wanted: Tensor) -> None:
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, wanted, atol=TOLERANCE, rtol=0)


@pytest.fixture(scope="module")
def masked(make_checkpoint: Callable[..., Path], load_folder: Load) -> Loaded:
    """A fill-mask checkpoint of two layers, in FP64."""
    loaded = load_folder(make_checkpoint("fill-mask"))
    loaded.model.double()
    return loaded


@pytest.fixture(scope="module")
def classes(make_checkpoint: Callable[..., Path], load_folder: Load) -> Loaded:
    """A text classification checkpoint of two layers, in FP64."""
    loaded = load_folder(make_checkpoint("text-classification", num_labels=3))
    loaded.model.double()
    return loaded


@pytest.fixture(scope="module")
def tags(make_checkpoint: Callable[..., Path], load_folder: Load) -> Loaded:
    """A token classification checkpoint of two layers, in FP64."""
    loaded = load_folder(make_checkpoint("token-classification", num_labels=5))
    loaded.model.double()
    return loaded


@pytest.fixture(scope="module")
def spans(make_checkpoint: Callable[..., Path], load_folder: Load) -> Loaded:
    """A question answering checkpoint of two layers, in FP64."""
    loaded = load_folder(make_checkpoint("question-answering"))
    loaded.model.double()
    return loaded


@pytest.fixture(scope="module")
def states(make_checkpoint: Callable[..., Path], load_folder: Load) -> Loaded:
    """A checkpoint of two layers without a head, in FP64."""
    loaded = load_folder(make_checkpoint("feature-extraction"))
    loaded.model.double()
    return loaded


@torch.inference_mode()
def check_fill_mask(loaded: Loaded, rows: Sequence[str]) -> None:
    ids, mask = encode(rows, loaded)
    wanted = expected(loaded, ids, mask)
    module = FillMask(loaded.model)
    found = module(ids, mask)
    assert found.shape == wanted.shape
    same(found[mask == 1], wanted[mask == 1])
    served = ServedFillMask(module, loaded.tokenizer.mask_token_id)
    same(served(ids, mask), wanted[ids == loaded.tokenizer.mask_token_id])


@torch.inference_mode()
def check_classification(loaded: Loaded, rows: Sequence[str]) -> None:
    ids, mask = encode(rows, loaded)
    same(TextClassification(loaded.model)(ids, mask), expected(loaded, ids, mask))


@torch.inference_mode()
def check_token_classification(loaded: Loaded, rows: Sequence[str]) -> None:
    ids, mask = encode(rows, loaded)
    wanted = expected(loaded, ids, mask)
    found = TokenClassification(loaded.model)(ids, mask)
    assert found.shape == wanted.shape == (*ids.shape, loaded.model.config.num_labels)
    same(found[mask == 1], wanted[mask == 1])


@torch.inference_mode()
def check_question_answering(loaded: Loaded, rows: Sequence[str]) -> None:
    ids, mask = encode(rows, loaded)
    model: Any = loaded.model
    wanted = model(input_ids=ids, attention_mask=mask)
    start, end = QuestionAnswering(loaded.model)(ids, mask)
    assert start.shape == end.shape == ids.shape
    same(start[mask == 1], wanted.start_logits[mask == 1])
    same(end[mask == 1], wanted.end_logits[mask == 1])


@torch.inference_mode()
def check_feature_extraction(loaded: Loaded, rows: Sequence[str]) -> None:
    ids, mask = encode(rows, loaded)
    model: Any = loaded.model
    wanted = model(input_ids=ids, attention_mask=mask).last_hidden_state
    found = FeatureExtraction(loaded.model)(ids, mask)
    assert found.shape == wanted.shape == (*ids.shape, loaded.model.config.hidden_size)
    same(found[mask == 1], wanted[mask == 1])


@pytest.mark.parametrize("rows", TEXTS)
def test_fill_mask_equals_transformers(masked: Loaded, rows: list[str]) -> None:
    check_fill_mask(masked, rows)


@pytest.mark.parametrize("rows", TEXTS)
def test_text_classification_equals_transformers(classes: Loaded, rows: list[str]) -> None:
    check_classification(classes, rows)


@pytest.mark.parametrize("rows", TEXTS)
def test_token_classification_equals_transformers(tags: Loaded, rows: list[str]) -> None:
    check_token_classification(tags, rows)


@pytest.mark.parametrize("rows", TEXTS)
def test_question_answering_equals_transformers(spans: Loaded, rows: list[str]) -> None:
    check_question_answering(spans, rows)


@pytest.mark.parametrize("rows", TEXTS)
def test_feature_extraction_equals_transformers(states: Loaded, rows: list[str]) -> None:
    check_feature_extraction(states, rows)


@pytest.mark.parametrize("config", CONFIGS)
def test_fill_mask_of_any_shape_equals_transformers(
    make_checkpoint: Callable[..., Path], load_folder: Load, config: dict[str, Any]
) -> None:
    loaded = load_folder(make_checkpoint("fill-mask", **config))
    loaded.model.double()
    check_fill_mask(loaded, ALL_KINDS)


@pytest.mark.parametrize("config", [*CONFIGS, pytest.param({"num_labels": 1}, id="one label")])
def test_text_classification_of_any_shape_equals_transformers(
    make_checkpoint: Callable[..., Path], load_folder: Load, config: dict[str, Any]
) -> None:
    loaded = load_folder(make_checkpoint("text-classification", **config))
    loaded.model.double()
    check_classification(loaded, ALL_KINDS)


@pytest.mark.parametrize("config", [*CONFIGS, pytest.param({"num_labels": 1}, id="one label")])
def test_token_classification_of_any_shape_equals_transformers(
    make_checkpoint: Callable[..., Path], load_folder: Load, config: dict[str, Any]
) -> None:
    loaded = load_folder(make_checkpoint("token-classification", **config))
    loaded.model.double()
    check_token_classification(loaded, ALL_KINDS)


@pytest.mark.parametrize("config", CONFIGS)
def test_question_answering_of_any_shape_equals_transformers(
    make_checkpoint: Callable[..., Path], load_folder: Load, config: dict[str, Any]
) -> None:
    loaded = load_folder(make_checkpoint("question-answering", **config))
    loaded.model.double()
    check_question_answering(loaded, ALL_KINDS)


@pytest.mark.parametrize("config", CONFIGS)
def test_feature_extraction_of_any_shape_equals_transformers(
    make_checkpoint: Callable[..., Path], load_folder: Load, config: dict[str, Any]
) -> None:
    loaded = load_folder(make_checkpoint("feature-extraction", **config))
    loaded.model.double()
    check_feature_extraction(loaded, ALL_KINDS)


@hypothesis.settings(max_examples=50, deadline=None, derandomize=True)
@hypothesis.given(
    rows=strategies.integers(1, 12).flatmap(
        lambda length: strategies.lists(
            strategies.text("m.", min_size=length, max_size=length), min_size=1, max_size=5
        )
    )
)
def test_served_rows_are_the_masks_in_reading_order(masked: Loaded, rows: list[str]) -> None:
    ids, mask = encode(rows, masked)
    module = FillMask(masked.model)
    with torch.inference_mode():
        served = ServedFillMask(module, masked.tokenizer.mask_token_id)(ids, mask)
        same(served, module(ids, mask)[ids == masked.tokenizer.mask_token_id])
    assert len(served) == "".join(rows).count("m")


def test_answers_tell_the_texts_apart(
    masked: Loaded, classes: Loaded, tags: Loaded, spans: Loaded
) -> None:
    """Else every comparison above would pass with a graph that reads nothing."""
    rows = ["s..m..e", "s..m..e"]  # other ordinary tokens
    with torch.inference_mode():
        for loaded in (masked, classes, tags):
            first, second = expected(loaded, *encode(rows, loaded))
            assert (first - second).abs().max() > 0.01
        model: Any = spans.model
        ids, mask = encode(rows, spans)
        found = model(input_ids=ids, attention_mask=mask)
        for logits in (found.start_logits, found.end_logits):
            assert (logits[0] - logits[1]).abs().max() > 0.01
        assert (found.start_logits - found.end_logits).abs().max() > 0.01
