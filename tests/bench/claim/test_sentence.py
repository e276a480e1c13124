"""The verdict of several pairs, in one sentence."""

from __future__ import annotations

from distilroberta.bench.claim import sentence
from distilroberta.bench.claim.verdict import Overall
from distilroberta.bench.harness.ratio_interval import Ratio


def whole(verdict: str, measured: int = 6) -> Overall:
    ratio = Ratio(1.5, 1.0, 2.0, 5) if measured else None
    return Overall(ratio, verdict, None, measured, 6)


def test_each_verdict_has_its_words() -> None:
    said = sentence.of(
        [
            ("features", "ours, fp32", whole("twice as fast")),
            ("fill-mask", "ours, fp32", whole("faster, not twice")),
            ("fill-mask", "usual export, fp32", whole("unclear")),
            ("classification", "ours, fp32", whole("no difference")),
            ("features", "torch, fp32", whole("slower")),
            ("fill-mask", "torch, fp32", whole("not measured", 0)),
        ]
    )
    times = "1.50 (1.00-2.00) times"
    assert said == (
        "On this machine DistilRoBERTa is "
        f"twice as fast as RoBERTa-base for features (ours, fp32: {times}); "
        f"faster, but not twice, for fill-mask (ours, fp32: {times}); "
        f"not shown to be twice as fast for fill-mask (usual export, fp32: {times}); "
        f"not shown to be faster for classification (ours, fp32: {times}); "
        f"slower for features (torch, fp32: {times}); "
        "not measured for fill-mask (torch, fp32)."
    )


def test_a_verdict_over_some_of_the_cells_says_so() -> None:
    assert sentence.of([("fill-mask", "ours, fp32", whole("twice as fast", 4))]) == (
        "On this machine DistilRoBERTa is twice as fast as RoBERTa-base for fill-mask (ours, fp32: "
        "1.50 (1.00-2.00) times over the 4 cells that were measured, 2 of 6 cells were not "
        "measured)."
    )


def test_nothing_measured() -> None:
    assert sentence.of([]) == "Nothing was measured."
    assert sentence.of([("x", "y", whole("not measured", 0))]) == "Nothing was measured."
