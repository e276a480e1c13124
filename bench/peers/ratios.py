"""How many times as fast ours are as other engines, and how sure that is.

For every pair of engines and every workload, the other engine's time divided by ours within each
round, with the 95 % bootstrap interval of `ratio_interval`. An interval that is above 1 as a whole
says faster, one below 1 slower; one with 1 in it shows no difference, and one of too few rounds
nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from distilroberta.bench.harness import ratio_interval
from distilroberta.bench.harness.ratio_interval import Ratio
from distilroberta.bench.harness.suite import Comparison


@dataclass(frozen=True)
class PeerRatio:
    """How many times as fast `engine` is as `baseline` on a workload.

    `warning` says that the rounds are too few, or the interval wider than the difference it is to
    show; None where neither is so.
    """

    engine: str
    baseline: str
    workload: str
    ratio: Ratio
    verdict: str
    warning: str | None


def ratios(comparison: Comparison, pairs: Iterable[tuple[str, str]]) -> list[PeerRatio]:
    """Return the ratios of what was measured, workload by workload for each pair.

    Args:
        comparison: of both engines of every pair, and others.
        pairs: one of ours, and what it is compared with.
    """
    found = []
    for engine, baseline in pairs:
        for workload in comparison.workloads:
            ours = comparison.rounds(engine, workload.name)
            others = comparison.rounds(baseline, workload.name)
            if ours and others:
                ratio = ratio_interval.of(others, ours)
                judged = ratio_interval.verdict(ratio), ratio_interval.warning(ratio)
                found.append(PeerRatio(engine, baseline, workload.name, ratio, *judged))
    return found
