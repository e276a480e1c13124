from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from distilroberta.bench.masked_agreement import (
    PYTORCH,
    MaskedAgreement,
    MaskedSentence,
    Tally,
    agreement,
    read,
)
from distilroberta.runtime import Artifact, InputError


def logits(*probabilities: float) -> np.ndarray:
    return np.log(np.array(probabilities, dtype=np.float32))


def test_two_sentences_with_known_figures() -> None:
    tally = Tally()
    # The same answer: nothing differs.
    tally.add(logits(0.5, 0.25, 0.25), logits(0.5, 0.25, 0.25), True)
    # KL = 1/2 ln(1/2 / 1/4) + 1/4 ln(1/4 / 1/2) + 0 = 1/4 ln 2; two logits differ by ln 2.
    tally.add(logits(0.25, 0.5, 0.25), logits(0.5, 0.25, 0.25), False)
    found = tally.result()
    assert found == MaskedAgreement(
        sentences=2,
        same_top=0.5,
        kl=pytest.approx(math.log(2) / 8, rel=1e-6),
        largest_difference=pytest.approx(math.log(2), rel=1e-6),
        word_on_top=0.5,
    )


def test_a_logit_that_is_not_a_number_is_not_hidden() -> None:
    tally = Tally()
    tally.add(logits(0.5, 0.5) * np.nan, logits(0.5, 0.5), False)
    tally.add(logits(0.5, 0.5), logits(0.5, 0.5), True)
    assert math.isnan(tally.result().kl)
    assert math.isnan(tally.result().largest_difference)


def test_the_variants_of_an_artifact(mini: Path, mini_artifact: Artifact) -> None:
    sentences = [
        MaskedSentence("Paris is the <mask> of France.", "capital"),
        MaskedSentence("The dog <mask> at the stranger.", "no such word"),
    ]
    found = agreement(mini, mini_artifact, sentences, ["fp32", "int8"])
    assert list(found) == [PYTORCH, "fp32", "int8"]
    assert {one.sentences for one in found.values()} == {2}
    assert (found[PYTORCH].same_top, found[PYTORCH].largest_difference) == (1, 0)
    assert found[PYTORCH].kl == pytest.approx(0, abs=1e-12)
    assert found["fp32"].same_top == 1
    assert found["fp32"].largest_difference < 1e-3
    assert found["fp32"].word_on_top == found[PYTORCH].word_on_top <= 0.5
    assert found["int8"].kl < 0.5


def test_the_word_on_top_is_found_without_its_space(mini: Path, mini_artifact: Artifact) -> None:
    from distilroberta.runtime import pipeline

    text = "In the <mask> God created the heaven and the earth."
    top = pipeline("fill-mask", mini_artifact, variant="fp32")(text, top_k=1)[0]["token_str"]
    sentences = [MaskedSentence(text, top.strip()), MaskedSentence(text, "x" + top.strip())]
    assert agreement(mini, mini_artifact, sentences, [])[PYTORCH].word_on_top == 0.5


@pytest.mark.parametrize("text", ["no mask", "<mask> and <mask>", "word " * 600 + "<mask>"])
def test_a_sentence_needs_exactly_one_mask(mini: Path, mini_artifact: Artifact, text: str) -> None:
    good = MaskedSentence("a <mask>", "dog")
    with pytest.raises(InputError, match="sentence 2 must have exactly one <mask>"):
        agreement(mini, mini_artifact, [good, MaskedSentence(text, "word")], ["fp32"])


def test_reading_sentences(tmp_path: Path) -> None:
    path = tmp_path / "masked.tsv"
    path.write_text("A <mask>.\tdog\nThe <mask>\t été \n", "utf-8")
    assert read(path) == [MaskedSentence("A <mask>.", "dog"), MaskedSentence("The <mask>", "été")]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("A <mask>.\tdog\nno tab", "line 2: must be a text, a tab and a word"),
        ("A <mask>.\t ", "line 1"),
        ("", "no sentence"),
    ],
)
def test_a_file_that_is_something_else_is_refused(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "masked.tsv"
    path.write_text(content, "utf-8")
    with pytest.raises(InputError, match=says):
        read(path)
    with pytest.raises(InputError, match="can't be read"):
        read(tmp_path / "missing.tsv")
