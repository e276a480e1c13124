"""A page, figures and tables of what was measured.

    distilroberta bench report claim.json peers.json -o report.html

The page needs nothing but itself. Claim, peers, latency, gpu and cold-start results are drawn;
those of the other benchmarks are named with their verdict and how they were run.
"""

from __future__ import annotations

from pathlib import Path

import typer

from distilroberta.bench.report import canvas, output, page
from distilroberta.bench.report.contents import make
from distilroberta.bench.report.markdown import markdown
from distilroberta.bench.report.results import read_all
from distilroberta.runtime.command_line import messages
from distilroberta.runtime.errors import InputError


def main(
    results: list[Path] = typer.Argument(
        metavar="RESULTS...", help="Files that `bench` commands wrote, of any kind."
    ),
    html_path: Path = typer.Option(..., "--output", "-o", help="The page, one HTML file."),
    figures: Path | None = typer.Option(None, help="A folder, for every figure as PNG."),
    markdown_path: Path | None = typer.Option(
        None, "--markdown", help="The tables for a model card, one Markdown file."
    ),
    force: bool = typer.Option(False, "--force", help="Replace files that no report wrote, too."),
) -> None:
    """Make one page of results files: verdict, figures, tables."""
    with messages.status("reading the results"):
        report = make(read_all(results))
        folder = _folder(figures)
        pictures = (
            {folder / f"{chart.name}.png": chart for chart in report.charts} if folder else {}
        )
        written = [html_path, *([markdown_path] if markdown_path else []), *pictures]
        output.check(written, results, force=force)
    with messages.status("drawing"):
        contents = {html_path: page.html(report).encode()}
        if markdown_path:
            contents[markdown_path] = markdown(report).encode()
        contents |= {path: canvas.png(chart.draw) for path, chart in pictures.items()}
    output.write(contents)
    messages.print(f"{report.verdict}\nwritten: {html_path}", markup=False)


def _folder(figures: Path | None) -> Path | None:
    if figures is None:
        return None
    try:
        figures.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"--figures names {figures}, no folder can be made there: {error}"
        ) from error
    return figures
