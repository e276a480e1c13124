"""The claim on the page: overall ratios side by side, a map of each, and the tables behind them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from distilroberta.bench.claim.terms import BASE, CLAIMED, DISTIL, MARGIN
from distilroberta.bench.report import comparison_parts, heat_map, row_plot, wording
from distilroberta.bench.report.claim import (
    Cell,
    Claim,
    ClaimResults,
)
from distilroberta.bench.report.names import Names
from distilroberta.bench.report.parts import Chart, RatioMap, Section, Table
from distilroberta.bench.report.results import Run
from distilroberta.bench.report.row_plot import Dot

# The encoder first: what the others add to it is the question.
_ORDER = ("feature-extraction", "text-classification", "fill-mask")
_LEAD = (
    "Each ratio is the time of roberta-base divided by that of distilroberta, taken inside rounds "
    "in which both ran, by the same engine in the same precision: the median of the rounds, with "
    "its 95 % bootstrap interval. Over all cells it is their geometric mean. Twice is to within "
    f"{MARGIN:.0%}: all of the interval at {CLAIMED * (1 - MARGIN):g} or above. Cells are blue "
    f"above {CLAIMED:g} and orange below."
)


def sections(runs: Sequence[Run], names: Names) -> list[Section]:
    """Return the section of all claims, none where no claim was measured."""
    claims = _titled(runs)
    if not claims:
        return []
    charts: list[Chart | RatioMap] = []
    if any(claim.ratio for _, claim in claims):
        charts.append(_side_by_side(claims, names))
    charts += [_map(title, claim, names) for title, claim in claims]
    tables = [_overall(claims), *(_cells(title, claim) for title, claim in claims)]
    compared = [(title, claim.comparison) for title, claim in claims]
    lead = f"{_LEAD} {comparison_parts.answers(compared)}"
    return [Section(names.take("claim"), "Is it twice as fast?", lead, charts, tables)]


def _titled(runs: Sequence[Run]) -> list[tuple[str, Claim]]:
    found = [
        (run.file, claim)
        for run in runs
        if isinstance(run.found, ClaimResults)
        for claim in run.found.claims
    ]
    found.sort(key=lambda one: (*_ORDER, one[1].task).index(one[1].task))
    titles = [_title(claim) for _, claim in found]
    return [
        (title if titles.count(title) == 1 else f"{title}, {file}", claim)
        for title, (file, claim) in zip(titles, found, strict=True)
    ]


def _title(claim: Claim) -> str:
    return f"{wording.task(claim.task)}, {claim.engine}, {claim.precision}"


def _side_by_side(claims: Sequence[tuple[str, Claim]], names: Names) -> Chart:
    dots = [Dot(title, claim.ratio, claim.expected) for title, claim in claims if claim.ratio]
    said = [f"{dot.name}: {wording.ratio(dot.ratio)}" for dot in dots]
    note = "Disc: the geometric mean over all lengths and batch sizes; bar: its 95 % interval."
    if any(dot.expected for dot in dots):
        note += " Triangle: what the numbers of operations alone let expect."
    return Chart(
        names.take("claim overall"),
        "How many times as fast, over all lengths and batches",
        note,
        f"Overall ratios, 2 is claimed. {'; '.join(said)}.",
        partial(row_plot.draw_ratios, dots),
    )


def _map(title: str, claim: Claim, names: Names) -> RatioMap:
    return RatioMap(
        names.take("ratio", claim.task, claim.engine, claim.precision),
        wording.capital(title),
        claim,
        tuple(_notes(claim)),
        partial(heat_map.draw, claim),
    )


def _notes(claim: Claim) -> Iterable[str]:
    cells: dict[str, list[Cell]] = {}
    for cell in claim.cells:
        for said in (cell.warning, cell.reason):
            if said and said != claim.reason:
                cells.setdefault(said, []).append(cell)
    for said, where in cells.items():
        every = len(where) == len(claim.cells) > 1
        which = "all cells" if every else ", ".join(cell.workload for cell in where)
        yield f"{wording.capital(which)}: {said}"


def _overall(claims: Sequence[tuple[str, Claim]]) -> Table:
    rows = [
        (
            title,
            wording.ratio(claim.ratio) if claim.ratio else wording.NOTHING,
            wording.times(claim.expected) if claim.expected else wording.NOTHING,
            _verdict(claim),
            claim.reason or "",
        )
        for title, claim in claims
    ]
    return Table(
        "Overall: geometric mean of the cells that were measured, with its 95 % interval",
        ("what", "times as fast", "by operations alone", "verdict", "reason"),
        tuple(rows),
        words=frozenset({3, 4}),
        card=True,
    )


def _verdict(claim: Claim) -> str:
    measured = sum(cell.ratio is not None for cell in claim.cells)
    if measured in {0, len(claim.cells)}:
        return claim.verdict
    return f"{claim.verdict}, of {measured} of {len(claim.cells)} cells"


def _cells(title: str, claim: Claim) -> Table:
    rows = [
        (
            cell.workload,
            _ms(claim, DISTIL, cell),
            _ms(claim, BASE, cell),
            wording.ratio(cell.ratio) if cell.ratio else wording.NOTHING,
            wording.times(cell.expected) if cell.expected else wording.NOTHING,
            cell.verdict,
            "; ".join(said for said in (cell.warning, cell.reason) if said),
        )
        for cell in claim.cells
    ]
    return Table(
        f"{wording.capital(title)}: milliseconds, median of the rounds (quartiles), and the ratio "
        "(95 % interval)",
        (
            "input",
            f"{DISTIL}, ms",
            f"{BASE}, ms",
            "times as fast",
            "by operations alone",
            "verdict",
            "warning and reason",
        ),
        tuple(rows),
        words=frozenset({5, 6}),
        detail=True,
    )


def _ms(claim: Claim, engine: str, cell: Cell) -> str:
    found = claim.comparison.engine(engine)
    timing = found.times.get(cell.workload) if found else None
    return wording.spread(timing.spread) if timing else wording.NOTHING
