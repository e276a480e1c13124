"""The tables of `claim`: a ratio for each length and batch, and what is said of it."""

from __future__ import annotations

from rich.table import Table

from distilroberta.bench.claim import results, sentence, terms
from distilroberta.bench.claim.results import Found, Pair
from distilroberta.bench.claim.verdict import Cell
from distilroberta.bench.harness import command_line


def show(found: Found) -> None:
    """Print every pair, what was left out, and the verdict."""
    console = command_line.output()
    for pair in found.pairs:
        console.print(_table(pair))
        _show_overall(pair)
        console.print()
    for name, reason in found.left_out.items():
        console.print(f"{name} was left out: {reason}", markup=False)
    console.print(results.spoken(found.pairs), markup=False)


def _show_overall(pair: Pair) -> None:
    console = command_line.output()
    whole = pair.overall
    if whole.ratio is not None:
        cells = sentence.subset(whole) or "over all cells"
        console.print(f"{whole.ratio} {cells}: {whole.verdict}", markup=False)
    if whole.reason:
        console.print(f"why: {whole.reason}", markup=False)
    told = results.overall_warning(pair)  # with all warnings, at the end
    for cell in pair.cells:
        if cell.warning and cell.warning != told:
            console.print(f"warning: {cell.workload}: {cell.warning}", markup=False)


def _table(pair: Pair) -> Table:
    lengths = sorted({cell.tokens for cell in pair.cells})
    title = f"{pair.task}, {pair.engine}, {pair.precision}: RoBERTa-base's time by DistilRoBERTa's"
    table = Table("texts", title=title)
    for length in lengths:
        table.add_column(f"{length} tokens", justify="right")
    for rows in sorted({cell.rows for cell in pair.cells}):
        cells = {cell.tokens: cell for cell in pair.cells if cell.rows == rows}
        table.add_row(str(rows), *(_shown_cell(cells[n]) if n in cells else "" for n in lengths))
    return table


def _shown_cell(cell: Cell) -> str:
    if cell.ratio is None:
        return cell.verdict
    mark = "" if cell.verdict == terms.TWICE else f"\n{cell.verdict}"
    return f"{cell.ratio}{mark}"
