"""Which shapes answers are compared on."""

from __future__ import annotations

import pytest

from distilroberta.bench.harness.interleave import Plan
from distilroberta.bench.harness.workload import Shape
from distilroberta.bench.peers import lineup
from distilroberta.bench.peers.run import Settings, shapes_to_check
from distilroberta.runtime import Artifact

ONE, BATCH, LONG = Shape(1, 16), Shape(8, 16), Shape(1, 512)


def settings(*shapes: Shape) -> Settings:
    engines = lineup.Settings(["fp32", "int8"], ["torch"], 1, None)
    return Settings(["fill-mask"], ["model"], list(shapes), Plan(), engines, limit=False)


@pytest.mark.parametrize("level", ["model", "pipeline"])
def test_few_labels_are_compared_on_many_texts(level: str, classifier_artifact: Artifact) -> None:
    found = shapes_to_check(level, classifier_artifact, settings(ONE, BATCH, LONG))
    assert found == [BATCH, Shape(8, 64)]


def test_a_vocabulary_is_compared_on_what_is_timed(mini_artifact: Artifact) -> None:
    given = settings(ONE, BATCH, LONG)
    assert shapes_to_check("model", mini_artifact, given) == [ONE, BATCH, LONG]
    # transformers scores it for minutes where there are many tokens.
    assert shapes_to_check("pipeline", mini_artifact, given) == [ONE, BATCH]
    assert shapes_to_check("pipeline", mini_artifact, settings(LONG)) == [Shape(1, 128)]


def test_the_verdict_is_about_what_is_not_fp32() -> None:
    assert settings(ONE).variant == "int8"
