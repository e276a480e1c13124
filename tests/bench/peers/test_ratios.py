from __future__ import annotations

import pytest

from distilroberta.bench.harness import ratio_interval
from distilroberta.bench.harness.interleave import Plan
from distilroberta.bench.harness.ratio_interval import FASTER, SAME, SLOWER, Ratio
from distilroberta.bench.harness.suite import Comparison, EngineResult, EngineSpec
from distilroberta.bench.harness.workload import Workload
from distilroberta.bench.peers import ratios as peer_ratios

TIMES = {
    "ours int8": [1.0, 1.1, 0.9, 1.0, 1.0],
    "twice": [2.0, 2.2, 1.8, 2.0, 2.0],
    "half": [0.5, 0.55, 0.45, 0.5, 0.5],
    "as fast": [0.9, 1.3, 0.9, 1.1, 0.95],
    "refused": [],
}


@pytest.fixture
def comparison(workload: Workload) -> Comparison:
    engines = tuple(
        EngineResult(
            EngineSpec(name, "module:class", {}, 0),
            loaded=None,
            resident_bytes=None,
            cosine=None,
            refused=None,
            rounds={workload.name: rounds} if rounds else {},
        )
        for name, rounds in TIMES.items()
    )
    return Comparison((workload,), Plan(rounds=5), engines)


def test_what_is_faster_and_what_is_not(comparison: Comparison) -> None:
    pairs = [("ours int8", name) for name in TIMES if name != "ours int8"]
    found = peer_ratios.ratios(comparison, pairs)
    assert {one.baseline: one.verdict for one in found} == {
        "twice": FASTER,
        "half": SLOWER,
        "as fast": SAME,
    }
    twice, half, same = found
    assert twice.ratio.estimate == pytest.approx(2)
    assert half.ratio.estimate == pytest.approx(0.5)
    assert same.ratio == ratio_interval.of(TIMES["as fast"], TIMES["ours int8"])
    assert (twice.warning, half.warning) == (None, None)
    assert same.warning is not None
    assert same.warning.startswith("the interval is 0.28 wide, the difference it is to show 0.0")


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(1.01, 1.2, FASTER), (1.0, 1.2, SAME), (0.9, 1.0, SAME), (0.9, 0.99, SLOWER)],
)
def test_an_interval_with_1_in_it_shows_nothing(low: float, high: float, expected: str) -> None:
    assert ratio_interval.verdict(Ratio((low + high) / 2, low, high, 5)) == expected
