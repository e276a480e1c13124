"""The sentence of `peers`, of ratios that were made up."""

from __future__ import annotations

from distilroberta.bench.harness import ratio_interval
from distilroberta.bench.harness.interleave import Plan
from distilroberta.bench.harness.ratio_interval import Ratio
from distilroberta.bench.harness.suite import Comparison
from distilroberta.bench.peers import verdict
from distilroberta.bench.peers.ratios import PeerRatio
from distilroberta.bench.peers.results import Measured


def ratio(
    baseline: str, estimate: float, *, engine: str = "ours int8", off: float = 0.01, rounds: int = 5
) -> PeerRatio:
    found = Ratio(estimate, estimate - off, estimate + off, rounds)
    return PeerRatio(engine, baseline, "a text", found, ratio_interval.verdict(found), None)


def measured(task: str, level: str, *ratios: PeerRatio) -> Measured:
    return Measured(task, level, Comparison((), Plan(), ()), (), list(ratios), None)


def test_the_fastest_other_engine_and_those_of_the_same_precision_task_by_task() -> None:
    found = [
        measured(
            "text-classification",
            "model",
            ratio("torch", 3.5),
            ratio("torch", 3.0),
            ratio("OpenVINO INT8", 1.5),
            ratio("OpenVINO INT8", 1.25),
            ratio("optimum INT8", 2.0),
            ratio("optimum INT8", 1.5),
            ratio("CTranslate2 INT8", 1.75),
            ratio("CTranslate2 INT8", 2.25),
            ratio("torch", 1.1, engine="ours fp32"),
        ),
        measured(
            "fill-mask",
            "model",
            ratio("torch", 4.0),
            ratio("OpenVINO INT8", 5.0),
        ),
        measured("fill-mask", "pipeline", ratio("transformers on torch", 6.0)),
    ]
    assert verdict.sentence(found, "int8") == (
        "On this machine ours int8 is, from token ids to logits, for text-classification 1.25 to "
        "1.50 times as fast as the fastest other engine, OpenVINO INT8, and 1.50 to 2.25 times as "
        "fast as 2 other engines in INT8, for fill-mask 4.00 times as fast as the fastest other "
        "engine, torch (FP32), and 5.00 times as fast as OpenVINO INT8; from texts to answers, for "
        "fill-mask 6.00 times as fast as the fastest other engine, transformers on torch (FP32)."
    )


def test_what_is_not_told_apart() -> None:
    alike = [ratio("torch", value, off=0.2) for value in (0.95, 1.1)]
    assert verdict.sentence([measured("fill-mask", "model", *alike)], "int8") == (
        "On this machine ours int8 is, from token ids to logits, for fill-mask not told apart from "
        "the fastest other engine, torch (FP32)."
    )
    # One input that shows a difference is enough for a range.
    differ = [*alike, ratio("torch", 1.5)]
    assert "fill-mask 0.95 to 1.50 times as fast as" in verdict.sentence(
        [measured("fill-mask", "model", *differ)], "int8"
    )


def test_too_few_rounds_give_no_figure() -> None:
    found = measured("fill-mask", "model", ratio("torch", 3.5, rounds=1))
    said = verdict.sentence([found], "int8")
    assert said.endswith("unclear beside the fastest other engine, torch (FP32): too few rounds.")
    assert "3.5" not in said


def test_an_engine_that_failed_at_some_inputs_is_not_the_fastest() -> None:
    found = [ratio("torch", 3.0), ratio("torch", 3.0), ratio("OpenVINO INT8", 0.5)]
    said = verdict.sentence([measured("fill-mask", "model", *found)], "int8")
    assert "fastest other engine, torch (FP32)" in said


def test_nothing_to_compare_with() -> None:
    assert verdict.sentence([measured("fill-mask", "model")], "int8") == (
        "Nothing was measured that ours int8 could be compared with."
    )
