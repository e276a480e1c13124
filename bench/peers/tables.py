"""The tables of `peers`, and what was left out of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from distilroberta.bench.harness import ratio_interval, tables
from distilroberta.bench.harness.workload import Workload
from distilroberta.bench.limit import machine_limit
from distilroberta.bench.peers.lineup import WHAT
from distilroberta.bench.peers.ratios import PeerRatio
from distilroberta.bench.peers.results import Measured


def print_tables(
    found: Sequence[Measured],
    left_out: Mapping[str, str],
    schemes: Mapping[str, str],
    console: Console,
) -> None:
    """Print each level of each task, then why what is not there is not, and how engines are made.

    Args:
        found: what was measured.
        left_out: why something was not, by its name.
        schemes: how the engines were made.
        console: where to.
    """
    for measured in found:
        what = f"{measured.task}, {WHAT[measured.level]}"
        rounds = "1 round" if measured.rounds == 1 else f"{measured.rounds} rounds"
        title = f"{what}: median of {rounds} (25 %-75 %)"
        tables.print_comparison(measured.comparison, title)
        console.print(_ratio_table(measured.ratios, measured.comparison.workloads))
        if measured.limits:
            console.print(machine_limit.table(measured.limits))
    for name, reason in left_out.items():
        console.print(f"{name} was left out: {reason}", markup=False)
    for name, scheme in schemes.items():
        console.print(f"{name}: {scheme}", markup=False)


def _ratio_table(ratios: Sequence[PeerRatio], workloads: Sequence[Workload]) -> Table:
    title = "of the same rounds, with 95 % intervals"
    note = "?: the interval is wider than the difference it is to show" if _unsure(ratios) else None
    table = Table("times as fast", "as", title=title, caption=note)
    for workload in workloads:
        table.add_column(workload.name, justify="right")
    for engine, baseline in dict.fromkeys((one.engine, one.baseline) for one in ratios):
        cells = {
            one.workload: _shown(one)
            for one in ratios
            if (one.engine, one.baseline) == (engine, baseline)
        }
        table.add_row(engine, baseline, *(cells.get(one.name, "-") for one in workloads))
    return table


def _unsure(ratios: Sequence[PeerRatio]) -> list[PeerRatio]:
    # What shows no difference, or nothing at all, says so itself.
    said = (ratio_interval.SAME, ratio_interval.UNCLEAR)
    return [one for one in ratios if one.warning and one.verdict not in said]


def _shown(one: PeerRatio) -> str:
    doubt = " ?" if _unsure([one]) else ""
    mark = "" if one.verdict == ratio_interval.FASTER else f"\n{one.verdict}"
    return f"{one.ratio}{doubt}{mark}"
