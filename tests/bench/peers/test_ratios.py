from __future__ import annotations

import pytest

from distilroberta.bench.harness import ratio_interval
from distilroberta.bench.harness.interleave import Plan
from distilroberta.bench.harness.ratio_interval import FASTER, SAME, SLOWER, Ratio
from distilroberta.bench.harness.suite import Comparison, EngineResult, EngineSpec
from distilroberta.bench.harness.workload import Workload
from distilroberta.bench.peers import ratios as peer_ratios
from distilroberta.bench.peers.ratios import PeerRatio

TIMES = {
    "ours int8": [1.0, 1.1, 0.9],
    "twice": [2.0, 2.2, 1.8],
    "half": [0.5, 0.55, 0.45],
    "as fast": [0.9, 1.3, 0.9],
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
    return Comparison((workload,), Plan(rounds=3), engines)


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
    assert same.warning.startswith("the interval is 0.28 wide, the difference it is to show 0.")


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(1.01, 1.2, FASTER), (1.0, 1.2, SAME), (0.9, 1.0, SAME), (0.9, 0.99, SLOWER)],
)
def test_an_interval_with_1_in_it_shows_nothing(low: float, high: float, expected: str) -> None:
    assert ratio_interval.verdict(Ratio((low + high) / 2, low, high)) == expected


def test_spans_go_from_the_nearest_engine_to_the_slowest() -> None:
    def one(engine: str, baseline: str, estimate: float) -> PeerRatio:
        ratio = Ratio(estimate, estimate, estimate)
        return PeerRatio(engine, baseline, "16 tokens", ratio, FASTER, None)

    found = [
        one("ours int8", "torch", 3.5),
        one("ours int8", "torch", 2.001),
        one("ours int8", "OpenVINO INT8", 0.987),
        one("ours int8", "OpenVINO INT8", 0.994),
        one("ours int8", "CTranslate2 INT8", 1.5),
        one("ours int8", "CTranslate2 INT8", 1.501),
        one("ours fp32", "torch", 1.1),
    ]
    assert peer_ratios.spans("ours int8", found) == [
        "0.99 times as fast as OpenVINO INT8",
        "1.50 times as fast as CTranslate2 INT8",
        "2.00 to 3.50 times as fast as torch",
    ]
