"""SQuAD's rules, against transformers' copy of the evaluation script."""

from __future__ import annotations

from types import SimpleNamespace

import hypothesis
import pytest
from hypothesis import strategies
from transformers.data.metrics.squad_metrics import get_raw_scores, normalize_answer

from distilroberta.quantize.quality.squad_rules import exact_match, f1, normalize

words = strategies.sampled_from(
    ["the", "The", "a", "an", "cat", "Cat's", "cat.", "U.S.", "1,000", "—", "été", "", "“a”", "_"]
)
answers = strategies.lists(words, max_size=4).map(" ".join) | strategies.text(max_size=12)


@hypothesis.settings(max_examples=400, deadline=None, derandomize=True)
@hypothesis.given(found=answers, right=strategies.lists(answers, max_size=3))
def test_scores_are_those_of_the_script(found: str, right: list[str]) -> None:
    example = SimpleNamespace(qas_id="1", answers=[{"text": text} for text in right])
    exact, overlap = get_raw_scores([example], {"1": found})
    assert exact_match(found, right) == exact["1"]
    assert f1(found, right) == pytest.approx(overlap["1"], abs=1e-12)
    assert normalize(found) == normalize_answer(found)


@pytest.mark.parametrize(
    ("found", "right", "exact", "overlap"),
    [
        ("The Normans!", ["normans"], 1, 1),
        ("in  Normandy", ["Normandy"], 0, 2 / 3),
        ("Normandy", ["in the north", "Normandy"], 1, 1),
        ("cat cat", ["cat"], 0, 2 / 3),
        ("Paris", ["London"], 0, 0),
        ("", [], 1, 1),
        ("Paris", [], 0, 0),
        ("", ["Paris"], 0, 0),
        ("the", [], 1, 1),
    ],
)
def test_by_hand(found: str, right: list[str], exact: float, overlap: float) -> None:
    assert exact_match(found, right) == exact
    assert f1(found, right) == pytest.approx(overlap)
