"""Figures and tables that every comparison of several engines has."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import partial

from distilroberta.bench.report import latency_plot, row_plot, trade_off_plot, wording
from distilroberta.bench.report.comparison import Comparison, EngineRatio
from distilroberta.bench.report.latency_plot import Line
from distilroberta.bench.report.names import Names
from distilroberta.bench.report.parts import Chart, Table
from distilroberta.bench.report.row_plot import Bar
from distilroberta.bench.report.trade_off_plot import Option

# The length that one figure of speed is given for, if it was measured: that of a paragraph.
_TYPICAL_TOKENS = 128


def answers(compared: Sequence[tuple[str, Comparison]]) -> str:
    """Say on which inputs answers were compared before anything was timed, for each comparison.

    Args:
        compared: comparisons with their titles.
    """
    titles: dict[str, list[str]] = {}
    for title, comparison in compared:
        titles.setdefault(_inputs(comparison), []).append(title)
    told = "Before anything was timed, answers were compared with the reference"
    if len(titles) < 2:
        return f"{told}: {''.join(titles)}."
    said = "; ".join(f"{', '.join(where)}: {inputs}" for inputs, where in titles.items())
    return f"{told}. {said}."


def _inputs(comparison: Comparison) -> str:
    checked = comparison.checked
    if checked is None:
        return "this file does not say on which inputs"
    if not checked:
        return "on none of the inputs"
    if set(checked) == set(comparison.workloads):
        return "on all inputs"
    return f"on {wording.listed(checked)}"


def latency_by_length(title: str, comparison: Comparison, names: Names) -> Iterable[Chart]:
    """Yield a chart for each batch size, with a line for each engine that was timed."""
    for rows in sorted({shape.rows for shape in comparison.workloads.values()}):
        lines = [line for line in _lines(comparison, rows) if line.points]
        if lines:
            batch = "one text at a time" if rows == 1 else f"batches of {rows} texts"
            yield Chart(
                names.take("latency", title, str(rows)),
                f"{title}: {batch}",
                "Milliseconds for the whole batch, median of the rounds; bars: the quartiles, "
                "where they can be seen. Both axes are logarithmic.",
                f"Milliseconds by length, {batch}. {_said(lines)}",
                partial(latency_plot.draw, lines),
            )


def _lines(comparison: Comparison, rows: int) -> Iterable[Line]:
    shapes = sorted(
        (shape.tokens, name) for name, shape in comparison.workloads.items() if shape.rows == rows
    )
    for engine in comparison.engines:
        points = [
            (tokens, engine.times[name].spread) for tokens, name in shapes if name in engine.times
        ]
        yield Line(engine.name, tuple(points))


def _said(lines: Sequence[Line]) -> str:
    said = (
        f"{line.name}: "
        + ", ".join(f"{wording.digits(found.median)} at {tokens}" for tokens, found in line.points)
        for line in lines
    )
    return "; ".join(said) + "."


def typical(comparison: Comparison) -> str | None:
    """Return the workload that one figure of speed is given for: few texts, about a paragraph."""
    return min(
        comparison.workloads,
        key=lambda name: (
            comparison.workloads[name].rows,
            abs(math.log(comparison.workloads[name].tokens / _TYPICAL_TOKENS)),
        ),
        default=None,
    )


def trade_off(title: str, options: Sequence[Option], workload: str, names: Names) -> list[Chart]:
    """Return the chart of size, quality and speed; none for fewer than two options."""
    if len(options) < 2:
        return []
    by_share = all(option.same_top is not None for option in options)
    said = (
        f"{option.name}: {wording.digits(option.ms)} ms, "
        f"{wording.megabytes(option.file_bytes)} MB, {_quality(option)}"
        for option in options
    )
    some = len(trade_off_plot.named(options)) < len(options)
    which = " Named are ours and the fastest of each kind; the table has all." if some else ""
    above = "more of the same top answers" if by_share else "closer to the reference"
    return [
        Chart(
            names.take("trade-off", title),
            f"{title}: size, quality and speed",
            f"Left is faster, up is {above}. A disc's area is the size of the model's files."
            f"{which}",
            f"Speed with {workload}, quality and size. {'; '.join(said)}.",
            partial(trade_off_plot.draw, options, f"milliseconds, {workload}"),
        )
    ]


def _quality(option: Option) -> str:
    if option.same_top is not None:
        return f"{wording.percent(option.same_top)} same top answers"
    return f"cosine {wording.cosine(option.cosine)}"


def memory(title: str, used: Sequence[Bar], names: Names) -> list[Chart]:
    """Return the chart of resident and peak memory, none where nothing was measured."""
    if not used:
        return []
    note = "Bar: resident memory of the engine's process after the run."
    if any(bar.mark for bar in used):
        note += " Line across: the most it ever had."
    said = "; ".join(f"{bar.name}: {bar.said}" for bar in used)
    return [
        Chart(
            names.take("memory", title),
            f"{title}: memory",
            note,
            f"Memory in megabytes. {said}.",
            partial(row_plot.draw_bars, used, "megabytes"),
        )
    ]


def memory_bar(name: str, resident: int, peak: int | None, *, ours: bool) -> Bar:
    """Return the bar of a process, from bytes."""
    said = f"{wording.megabytes(resident)} MB"
    if peak is not None:
        said += f", peak {wording.megabytes(peak)}"
    mark = None if peak is None else peak / 1e6
    return Bar(name, resident / 1e6, said, ours, mark=mark)


def times_table(title: str, comparison: Comparison) -> Table:
    """Return the milliseconds of every engine that was timed, by workload."""
    rows = [
        (
            engine.name,
            *(
                wording.spread(engine.times[name].spread)
                if name in engine.times
                else wording.NOTHING
                for name in comparison.workloads
            ),
        )
        for engine in comparison.engines
        if engine.times
    ]
    return Table(
        f"{title}: milliseconds for the whole batch, median of the rounds (quartiles)",
        ("engine", *comparison.workloads),
        tuple(rows),
        card=True,
    )


def ratios(title: str, comparison: Comparison, found: Sequence[EngineRatio]) -> list[Table]:
    """Return how many times as fast engines are as one another, none without ratios."""
    if not found:
        return []
    known = {(one.engine, one.baseline, one.workload): one for one in found}
    pairs = dict.fromkeys((one.engine, one.baseline) for one in found)
    workloads = [name for name in comparison.workloads if any(key[2] == name for key in known)]
    rows = []
    note = f"; {wording.DOUBT_MEANS}" if any(one.doubtful for one in found) else ""
    for pair in pairs:
        cells = [known.get((*pair, name)) for name in workloads]
        said = [_ratio(one) if one else wording.NOTHING for one in cells]
        rows.append((f"{pair[0]} to {pair[1]}", *said))
    return [
        Table(
            f"{title}: times as fast (95 % interval), of the same rounds{note}",
            ("engine to engine", *workloads),
            tuple(rows),
            card=True,
        )
    ]


def _ratio(one: EngineRatio) -> str:
    return wording.doubted(f"{wording.ratio(one.ratio)} {one.verdict}", doubtful=one.doubtful)
