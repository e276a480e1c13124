"""What one of our variants gains over other engines, in one sentence.

It names the fastest other engine, of whatever precision, and those of the variant's own precision.
All others are in the tables. A range goes from the least to the most of one task's inputs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from distilroberta.bench.harness import ratio_interval
from distilroberta.bench.peers import precision
from distilroberta.bench.peers.lineup import LEVELS, WHAT, our_name
from distilroberta.bench.peers.ratios import PeerRatio
from distilroberta.bench.peers.results import Measured


def sentence(found: Sequence[Measured], variant: str) -> str:
    """Say how many times as fast one of our variants is, task by task at each level."""
    ours = our_name(variant)
    parts = []
    for level in LEVELS:
        tasks = [
            f"for {one.task} {_said(ours, ratios)}"
            for one in found
            if one.level == level
            and (ratios := [ratio for ratio in one.ratios if ratio.engine == ours])
        ]
        if tasks:
            parts.append(f"from {WHAT[level]}, {', '.join(tasks)}")
    if not parts:
        return f"Nothing was measured that {ours} could be compared with."
    return f"On this machine {ours} is, {'; '.join(parts)}."


def _said(ours: str, ratios: Sequence[PeerRatio]) -> str:
    by_engine: dict[str, list[PeerRatio]] = {}
    for one in ratios:
        by_engine.setdefault(one.baseline, []).append(one)
    fastest = _fastest(by_engine)
    said = _range(by_engine[fastest], f"the fastest other engine, {precision.named(fastest)}")
    alike = [
        name for name in by_engine if name != fastest and precision.of(name) == precision.of(ours)
    ]
    if not alike:
        return said
    others = [one for name in alike for one in by_engine[name]]
    many = f"{len(alike)} other engines in {precision.of(ours)}"
    return f"{said}, and {_range(others, alike[0] if len(alike) == 1 else many)}"


def _fastest(by_engine: dict[str, list[PeerRatio]]) -> str:
    # Of those that did most of the inputs: one that failed at the long ones is not compared there.
    most = max(map(len, by_engine.values()))
    return min(
        (name for name, found in by_engine.items() if len(found) == most),
        key=lambda name: sum(math.log(one.ratio.estimate) for one in by_engine[name]),
    )


def _range(found: Sequence[PeerRatio], engines: str) -> str:
    verdicts = {one.verdict for one in found}
    if verdicts == {ratio_interval.SAME}:
        return f"not told apart from {engines}"
    if ratio_interval.UNCLEAR in verdicts:
        return f"unclear beside {engines}: too few rounds"
    estimates = [one.ratio.estimate for one in found]
    low, high = f"{min(estimates):.2f}", f"{max(estimates):.2f}"
    return f"{low if low == high else f'{low} to {high}'} times as fast as {engines}"
