"""What a results file holds, as tables in Markdown: of the claim, of the peers, of an artifact.

Times are milliseconds. A ratio stands with its interval, a median with its quartiles, and a dash
for what was not measured; a `?` marks a ratio with a warning. See `report.wording`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from distilroberta.bench.claim import terms
from distilroberta.bench.harness import ratio_interval
from distilroberta.bench.harness.interleave import Spread
from distilroberta.bench.harness.ratio_interval import Ratio
from distilroberta.bench.report import wording
from distilroberta.bench.report.claim import Cell, Claim, ClaimResults
from distilroberta.bench.report.comparison import Comparison, EngineRatio
from distilroberta.bench.report.latency import LatencyResults, Percentiles, Variant
from distilroberta.bench.report.peers import Peers, PeersResults
from distilroberta.bench.report.results import Run
from distilroberta.runtime.errors import InputError

# Of which comparisons, by their fields, and of which workloads.
Choice = Mapping[str, str]

_Compared = TypeVar("_Compared", Claim, Peers)
_WORKLOADS = "workloads"


def table(run: Run, choice: Choice) -> list[str]:
    """Return the lines of a benchmark's tables, and under them how they were made.

    Args:
        run: a results file of `claim`, `peers` or `latency`.
        choice: which comparisons, by their fields such as `task`, all of them by default; and
            `workloads`, the names of some with semicolons between, or `""` for none.

    Raises:
        InputError: the benchmark has no table, or nothing of the choice.
    """
    found = run.found
    if isinstance(found, ClaimResults):
        claims = _chosen(found.claims, choice)
        made, missing = _claim(claims, choice), _not_measured(claims, found.left_out)
    elif isinstance(found, PeersResults):
        compared = _chosen(found.comparisons, choice)
        made, missing = _peers(compared, choice), _not_measured(compared, found.left_out)
    elif isinstance(found, LatencyResults):
        made, missing = _latency(found, choice), _not_measured([found], found.left_out)
    else:
        raise InputError(f"there is no table of {run.benchmark}: only of claim, peers and latency")
    return [*made, "", *missing, origin(run)]


def origin(run: Run) -> str:
    """Return how results were made: the command, the revision, the machine and what disturbed it.

    One line, which GitHub breaks.
    """
    machine = run.machine
    parts = [
        f"{machine.cpu}, {machine.cpus} CPUs",
        *([] if run.threads is None else [f"{run.threads} threads"]),
        machine.system,
        machine.python,
        *(f"{name} {version}" for name, version in machine.packages.items()),
        *([] if run.weights is None else [run.weights]),
    ]
    date = run.started.partition("T")[0]
    warned = "".join(f" Warning: {warning}." for warning in run.warnings)
    return f"Made by `{run.command}` at {run.revision} on {date}: {', '.join(parts)}.{warned}"


def _claim(claims: Sequence[Claim], choice: Choice) -> list[str]:
    names = _workloads([claim.comparison for claim in claims], choice)
    head = ["task", "engine", "precision", *names, "over all", "verdict"]
    rows = []
    for claim in claims:
        found = {cell.workload: cell for cell in claim.cells}
        cells = [_cell(found.get(name)) for name in names]
        what = [claim.task, claim.engine, claim.precision]
        rows.append([*what, *cells, _ratio(claim.ratio), claim.verdict])
    return [*_markdown(head, rows, words=3), *_doubt(rows)]


def _peers(compared: Sequence[Peers], choice: Choice) -> list[str]:
    names = _workloads([one.comparison for one in compared], choice)
    times, speeds = [], []
    for one in compared:
        what = [one.task, one.level]
        for engine in one.comparison.engines:
            found = {name: timing.spread for name, timing in engine.times.items()}
            times.append([*what, engine.name, *(_spread(found.get(name)) for name in names)])
        ratios = {(each.engine, each.baseline, each.workload): each for each in one.ratios}
        for ours, other in dict.fromkeys((each.engine, each.baseline) for each in one.ratios):
            cells = [_engine_ratio(ratios.get((ours, other, name))) for name in names]
            speeds.append([*what, ours, other, *cells])
    in_ms = [f"{name}, ms" for name in names]
    return [
        *_markdown(["task", "level", "engine", *in_ms], times, words=3),
        "",
        *_markdown(["task", "level", "times as fast", "as", *names], speeds, words=4),
        *_doubt(speeds),
    ]


def _latency(found: LatencyResults, choice: Choice) -> list[str]:
    if set(choice) - {_WORKLOADS}:
        raise InputError("the table of latency takes nothing but workloads")
    names = _workloads([found.comparison], choice)
    speeds = [f"{name}: p50 / p99 ms, texts/s" for name in names]
    head = ["variant", "file MB", "same top", "KL", *speeds, "cold start s", "MB", "peak MB"]
    return _markdown(head, [_variant(one, names) for one in found.variants], words=1)


def _variant(variant: Variant, names: Iterable[str]) -> list[str]:
    return [
        variant.engine,
        wording.megabytes(variant.file_bytes),
        wording.NOTHING if variant.same_top is None else wording.percent(variant.same_top),
        wording.NOTHING if variant.kl is None else f"{variant.kl:.2g}",
        *(_percentiles(variant.workloads.get(name)) for name in names),
        _spread(variant.cold_start),
        wording.megabytes(variant.resident_bytes),
        wording.megabytes(variant.peak_bytes),
    ]


def _not_measured(
    compared: Iterable[Claim | Peers | LatencyResults], left_out: Mapping[str, str]
) -> list[str]:
    """Return the reasons for what has a dash or no row, in one line, or none."""
    reasons = [f"{name} ({reason})" for name, reason in left_out.items()]
    for one in compared:
        where = f"{one.task}, {one.engine}" if isinstance(one, Claim) else one.task
        for engine in one.comparison.engines:
            if engine.refused is not None:
                reasons.append(f"{engine.name}, {where} ({engine.refused})")
            failed = engine.failed.items()
            reasons += [f"{engine.name}, {where}, {name} ({why})" for name, why in failed]
    return [f"Not measured: {'; '.join(dict.fromkeys(reasons))}.", ""] if reasons else []


def _chosen(compared: Sequence[_Compared], choice: Choice) -> list[_Compared]:
    wanted = {name: value for name, value in choice.items() if name != _WORKLOADS}
    found = [
        one
        for one in compared
        if all(getattr(one, name, None) == value for name, value in wanted.items())
    ]
    if not found:
        raise InputError(f"no comparison has {wanted}" if wanted else "there is no comparison")
    return found


def _workloads(compared: Iterable[Comparison], choice: Choice) -> list[str]:
    known = list(dict.fromkeys(name for one in compared for name in one.workloads))
    if _WORKLOADS not in choice:
        return known
    asked = [name.strip() for name in choice[_WORKLOADS].split(";") if name.strip()]
    for name in asked:
        if name not in known:
            raise InputError(f"workload {name!r} was not measured, only {', '.join(known)}")
    return asked


def _ratio(found: Ratio | None) -> str:
    return wording.NOTHING if found is None else wording.ratio(found)


def _cell(found: Cell | None) -> str:
    if found is None or found.ratio is None:
        return wording.NOTHING
    doubtful = found.warning is not None and found.verdict != terms.SAME
    return wording.doubted(wording.ratio(found.ratio), doubtful=doubtful)


def _engine_ratio(found: EngineRatio | None) -> str:
    if found is None:
        return wording.NOTHING
    # An interval says by itself whether 1 is in it, but not of how few rounds it is.
    unclear = f" {found.verdict}" if found.verdict == ratio_interval.UNCLEAR else ""
    return wording.doubted(f"{wording.ratio(found.ratio)}{unclear}", doubtful=found.doubtful)


def _doubt(rows: Iterable[Sequence[str]]) -> list[str]:
    marked = any(cell.endswith(f" {wording.DOUBT}") for row in rows for cell in row)
    return ["", f"{wording.DOUBT_MEANS}."] if marked else []


def _spread(found: Spread | None) -> str:
    return wording.NOTHING if found is None else wording.spread(found)


def _percentiles(found: Percentiles | None) -> str:
    if found is None:
        return wording.NOTHING
    # A percentile can be missing: a few calls have no 99th.
    p50, p99, texts = map(_digits, (found.p50, found.p99, found.texts_per_second))
    return f"{p50} / {p99}, {texts}"


def _digits(value: float | None) -> str:
    return wording.NOTHING if value is None else wording.digits(value)


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]], words: int) -> list[str]:
    """Return a table whose first columns, so many, hold words and the others numbers."""
    rule = ["---"] * words + ["---:"] * (len(head) - words)
    return [
        "| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |"
        for row in (head, rule, *rows)
    ]
