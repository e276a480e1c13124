"""The sentence on top, of engines of known speed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import median

import pytest

from distilroberta.bench.harness.interleave import Plan, Spread
from distilroberta.bench.harness.suite import Comparison, EngineResult, EngineSpec
from distilroberta.bench.harness.worker import Loaded
from distilroberta.bench.harness.workload import Workload
from distilroberta.bench.latency import results as latency_results
from distilroberta.bench.latency import verdict as latency_verdict
from distilroberta.bench.latency.artifact_starts import Setup, Start
from distilroberta.bench.latency.results import Measured
from distilroberta.bench.latency.tables import notes
from distilroberta.runtime.manifest import Agreement

SLOW = [40.0, 41.0, 39.0, 40.5, 39.5, 40.2]
QUALITY = {
    "fp32": Agreement(500, 1e-6, 1.0, 1.0, 0.0),
    "int8": Agreement(500, 0.1, 0.9996, 0.978, 0.001),
    "int4": Agreement(500, 0.5, 0.99, 0.9, 0.01),
}
BYTES = {"fp32": 1000, "int8": 260, "int4": 200}


def workload(rows: int, tokens: int) -> Workload:
    name = f"{tokens} tokens" if rows == 1 else f"{rows} x {tokens} tokens"
    return Workload(name, ("a",) * rows, ((0,) * tokens,) * rows, (1,) * rows)


SHORT, PARAGRAPH, BATCH = workload(1, 16), workload(1, 128), workload(8, 128)


def measured(
    rounds: Mapping[str, Sequence[float]],
    *,
    workloads: tuple[Workload, ...] = (SHORT, PARAGRAPH, BATCH),
    refused: Mapping[str, str] | None = None,
    planned: int = 6,
) -> Measured:
    """Engines with the same rounds of milliseconds for all workloads, two equal calls in each."""
    engines = tuple(
        EngineResult(
            spec=EngineSpec(f"{name} on cpu", "", {}, BYTES[name]),
            loaded=Loaded(1.0, 1),
            resident_bytes=2,
            cosine=1.0,
            refused=(refused or {}).get(name),
            rounds={one.name: list(times) for one in workloads} if times else {},
            calls={one.name: [[time, time] for time in times] for one in workloads},
        )
        for name, times in rounds.items()
    )
    comparison = Comparison(workloads, Plan(rounds=planned, calls=2), engines)
    setups = {f"{name} on cpu": Setup(name, "cpu") for name in rounds}
    return Measured(comparison, setups, QUALITY, "fp32 on cpu")


def said(found: Measured, *, trained: bool = True) -> str:
    return latency_verdict.sentence(found, trained=trained)


def test_what_is_gained() -> None:
    fast = [
        time / factor for time, factor in zip(SLOW, [3.8, 4.0, 3.9, 3.9, 3.8, 4.0], strict=True)
    ]
    found = measured({"fp32": SLOW, "int8": fast})
    assert said(found) == (
        "int8 answers 3.9 times (3.8-4.0) as fast as fp32 at 128 tokens and is 26% of its size; "
        "97.8% of 500 top answers are the same"
    )
    assert said(found, trained=False).endswith(
        "as fast as fp32 at 128 tokens and is 26% of its size"
    )
    assert latency_results.not_told_apart(found) == []


def test_the_fastest_is_named_and_what_was_not_timed() -> None:
    rounds = {"fp32": SLOW, "int8": [time / 2 for time in SLOW], "int4": []}
    found = measured(rounds, refused={"int4": "the cosine of its logits is 0.5"})
    assert said(found).startswith("int8 answers 2.0 times (2.0-2.0) as fast as fp32")
    assert said(found).endswith(" (int4 was not timed)")
    rounds["int4"] = [time / 3 for time in SLOW]
    # Of the two, it was picked for its speed.
    assert said(measured(rounds)).startswith(
        "int4, the fastest of 2 others, answers 3.0 times (3.0-3.0) as fast as fp32"
    )


def test_a_difference_below_the_spread_is_none() -> None:
    near = [39.0, 42.0, 38.5, 41.0, 39.0, 40.4]
    found = measured({"fp32": SLOW, "int8": near})
    assert said(found).startswith(
        "int8 is not told apart from fp32 in speed at 128 tokens, 1.00 times (0.98-1.02) as fast, "
        "and is 26% of its size"
    )
    (warning,) = latency_results.not_told_apart(found)
    assert warning.startswith(
        "fp32 on cpu and int8 on cpu are not told apart in speed at 16 tokens (1.00 times, 0.98-"
    )
    assert "128 tokens (" in warning
    assert {one["verdict"] for one in latency_results.ratios(found)} == {"no difference"}


def test_nothing_that_is_faster() -> None:
    found = measured({"fp32": SLOW, "int8": [time * 1.25 for time in SLOW]})
    assert said(found).startswith(
        "nothing is faster than fp32 at 128 tokens: int8 comes next, 0.80 times (0.80-0.80) as "
        "fast, and is 26% of its size"
    )
    assert {one["verdict"] for one in latency_results.ratios(found)} == {"slower"}


def test_a_variant_alone() -> None:
    assert said(measured({"fp32": SLOW})) == (
        "fp32 answers in 40.1 ms at 128 tokens; nothing else was timed to compare it with"
    )


def test_what_was_interrupted_says_so() -> None:
    found = measured({"fp32": SLOW, "int8": [time / 2 for time in SLOW]}, planned=15)
    assert said(found).startswith("after 6 of 15 rounds: int8 answers 2.0 times")


@pytest.mark.parametrize(("rounds", "few"), [(1, "1 round is"), (4, "4 rounds are")])
def test_too_few_rounds_claim_nothing(rounds: int, few: str) -> None:
    """An interrupt may come after one round, whose interval has no width."""
    times = {"fp32": SLOW[:rounds], "int8": [time / 4 for time in SLOW[:rounds]]}
    found = measured(times, planned=15)
    sentence = said(found)
    assert sentence == (
        f"after {rounds} of 15 rounds: unclear at 128 tokens: {few} too few to tell int8 from "
        "fp32 in speed"
    )
    assert {one["verdict"] for one in latency_results.ratios(found)} == {"unclear"}
    (warning,) = {one["warning"] for one in latency_results.ratios(found)}
    assert warning in latency_results.warnings(found)


def test_an_interval_wider_than_the_difference_is_marked() -> None:
    unsteady = [time / by for time, by in zip(SLOW, [1.1, 1.1, 2, 2, 1.2, 1.8], strict=True)]
    found = measured({"fp32": SLOW, "int8": unsteady}, workloads=(PARAGRAPH,))
    (ratio,) = latency_results.ratios(found)
    assert (ratio["verdict"], ratio["ratio"]["low"] > 1) == ("faster", True)
    assert "wide, the difference it is to show" in ratio["warning"]
    said_so = f"int8 on cpu beside fp32 on cpu at 128 tokens: {ratio['warning']}"
    assert said_so in latency_results.warnings(found)
    assert "*: too few rounds, or an interval wider than the difference from 1" in notes(found)


def test_load_is_of_fresh_processes_and_of_one_start_without() -> None:
    found = measured({"fp32": SLOW, "int8": SLOW})
    engine = found.engine("int8 on cpu")
    assert (found.load_seconds(engine), found.load_spread("int8 on cpu")) == (1.0, None)
    starts = {"int8 on cpu": [Start(0.25, load, 1.0) for load in (0.25, 0.5, 1.75)]}
    found = replace(found, starts=starts)
    assert found.load_seconds(engine) == 0.75
    assert found.load_spread("int8 on cpu") == Spread(0.75, 0.625, 1.375)
    assert found.cold_start("int8 on cpu") == Spread(1.75, 1.625, 2.375)
    assert latency_results.single_loads(found) == [
        "load seconds are of one start, that of the process that was timed: fp32 on cpu"
    ]


def test_a_reference_that_failed() -> None:
    found = measured({"fp32": [], "int8": SLOW})
    assert said(found) == "fp32 was not timed at 128 tokens: no verdict"


def test_vectors_have_no_top_answer() -> None:
    found = measured({"fp32": SLOW, "int8": [time / 2 for time in SLOW]})
    quality = {**QUALITY, "int8": replace(QUALITY["int8"], same_top=None)}
    assert said(replace(found, quality=quality)).endswith(
        "; the cosine of its vectors to those of the checkpoint is 0.9996"
    )


def test_providers_are_named_where_there_are_two() -> None:
    found = measured({"fp32": SLOW, "int8": [time / 2 for time in SLOW]})
    setups = {**found.setups, "int8 on cpu": Setup("int8", "cuda")}
    assert said(replace(found, setups=setups)).startswith("int8 on cpu answers 2.0 times")


@pytest.mark.parametrize(
    ("workloads", "name"),
    [
        ((BATCH, SHORT, PARAGRAPH), "128 tokens"),
        ((SHORT, BATCH), "16 tokens"),
        ((workload(1, 512), workload(1, 64)), "64 tokens"),
        ((BATCH,), "8 x 128 tokens"),
    ],
)
def test_which_texts_are_spoken_of(workloads: tuple[Workload, ...], name: str) -> None:
    assert latency_verdict.headline(workloads).name == name


def test_texts_per_second_and_percentiles_are_of_all_calls() -> None:
    found = measured({"fp32": SLOW})
    engine = found.engine("fp32 on cpu")
    assert found.texts_per_second(engine, BATCH) == pytest.approx(8 * 6 / (sum(SLOW) / 1e3))
    calls = found.calls(engine, BATCH)
    assert calls is not None
    assert (calls.p50, calls.calls) == (pytest.approx(median(SLOW)), 12)
    assert calls.p90 is not None
    assert calls.p99 is None
