from __future__ import annotations

from pathlib import Path

import pytest
import tokenizers

from distilroberta.bench.engines.pipeline_inputs import inputs, question
from distilroberta.bench.harness.workload import Shape
from distilroberta.bench.models.texts import workloads
from distilroberta.runtime import layout


def test_one_text_goes_in_as_itself() -> None:
    assert inputs("fill-mask", ("a b",)) == "a b"
    assert inputs("fill-mask", ("a b", "c d")) == ["a b", "c d"]
    one = {"question": "a b", "context": " c"}
    assert inputs("question-answering", ("a b c d e",)) == one
    assert inputs("question-answering", ("a b c d e",) * 2) == [one, one]


@pytest.mark.parametrize(("text", "context"), [("a b c d", "d"), ("a b", "b"), ("a", "a")])
def test_a_short_text_still_has_a_context(text: str, context: str) -> None:
    assert question(text)["context"] == f" {context}"


@pytest.mark.parametrize("real", [False, True], ids=["mini", "real"])
def test_a_question_has_as_many_tokens_as_its_text(
    mini: Path, request: pytest.FixtureRequest, real: bool
) -> None:
    folder = request.getfixturevalue("reality") / "tokenizer" if real else mini
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / layout.TOKENIZER))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    shapes = [Shape(4, tokens) for tokens in (12, 17, 96)]
    for shape, workload in zip(
        shapes, workloads(folder / layout.TOKENIZER, shapes, 512), strict=True
    ):
        for text in workload.texts:
            asked = question(text)
            found = tokenizer.encode(asked["question"], asked["context"])
            assert len(found.ids) == shape.tokens
