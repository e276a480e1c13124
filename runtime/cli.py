"""The runtime's commands: `predict`, `info`, `verify`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from distilroberta.runtime.artifact import Artifact
from distilroberta.runtime.command_line import results
from distilroberta.runtime.errors import InputError
from distilroberta.runtime.pipelines import pipeline
from distilroberta.runtime.session import Session

_ARTIFACT = typer.Argument(help="The folder that `distilroberta build` wrote.", metavar="ARTIFACT")
_JSON = typer.Option(False, "--json", help="Print exactly what Python returns, as JSON.")


def register(app: typer.Typer) -> None:
    """Add the runtime's commands to the app."""
    app.command()(predict)
    app.command()(info)
    app.command()(verify)


def predict(
    artifact: Path = _ARTIFACT,
    texts: list[str] | None = typer.Argument(
        None, help="Texts; without any, one a line from standard input."
    ),
    top_k: int | None = typer.Option(None, help="How many answers a text gets."),
    targets: list[str] | None = typer.Option(
        None, "--target", help="Fill-mask: score this word alone; may be repeated."
    ),
    text_pair: str | None = typer.Option(
        None, help="Text classification: the second text of a pair."
    ),
    variant: str = typer.Option("auto", help="fp32, fp16, int8-static, int8, int4 or auto."),
    provider: str = typer.Option("auto", help="cpu, cuda, tensorrt or auto."),
    threads: int | None = typer.Option(None, help="Threads that compute one call."),
    as_json: bool = _JSON,
) -> None:
    """Answer texts with an artifact."""
    pipe = pipeline(None, artifact, variant=variant, provider=provider, threads=threads)
    given = list(texts) if texts else _lines_of_stdin()
    if not given:
        raise InputError("no text: give one behind the artifact, or one a line on standard input")
    items: list[Any] = [*given]
    parameters: dict[str, Any] = {} if top_k is None else {"top_k": top_k}
    if targets:
        parameters["targets"] = _only_for("fill-mask", pipe.task, "--target", targets)
    if text_pair is not None:
        _only_for("text-classification", pipe.task, "--text-pair", text_pair)
        items = [{"text": text, "text_pair": text_pair} for text in given]
    # One text goes in as itself, so that the answer is what Python returns for it.
    results = pipe(items[0] if len(items) == 1 else items, **parameters)
    if as_json:
        typer.echo(json.dumps(results, ensure_ascii=False))
        return
    listed = [results] if len(items) == 1 else results
    for text, result in zip(given, listed, strict=True):
        _print_answer(text, result)


def _lines_of_stdin() -> list[str]:
    try:
        return [line.rstrip("\r\n") for line in sys.stdin]
    except UnicodeDecodeError as error:
        raise InputError(f"standard input is not {error.encoding} text: {error.reason}") from error


def _only_for(task: str, actual: str, option: str, value: Any) -> Any:
    if actual != task:
        raise InputError(f"{option} is for {task}; this artifact is for {actual}")
    return value


def _print_answer(text: str, result: Any) -> None:
    console = Console(emoji=False, highlight=False, soft_wrap=True)
    console.print(text, style="bold", markup=False)
    for mask, rows in enumerate(_by_mask(result), 1):
        if len(_by_mask(result)) > 1:
            console.print(f"  mask {mask}")
        for row in rows:
            answer = row["label"] if "label" in row else row["token_str"].strip()
            console.print(f"  {row['score']:.4f}  {answer}", markup=False)


def _by_mask(result: Any) -> list[list[dict[str, Any]]]:
    if isinstance(result, dict):
        return [[result]]
    return result if result and isinstance(result[0], list) else [result]


def info(artifact: Path = _ARTIFACT, as_json: bool = _JSON) -> None:
    """Show what an artifact holds."""
    opened = Artifact(artifact)
    manifest = opened.manifest
    if as_json:
        typer.echo(manifest.to_json(), nl=False)
        return
    console = results(soft_wrap=True)
    revision = f" at {manifest.source.revision}" if manifest.source.revision else ""
    console.print(f"task      {manifest.task}", markup=False)
    console.print(f"source    {manifest.source.name}{revision}", markup=False)
    console.print(f"licence   {manifest.licence or 'not stated'}", markup=False)
    tools = ", ".join(f"{name} {version}" for name, version in manifest.tools.items())
    console.print(f"made with {tools}", markup=False)
    table = Table("variant", "target", "graph", "MB", "same top", "largest difference", "scheme")
    for name, variant in manifest.variants.items():
        cells = (
            name,
            variant.target,
            variant.graph,
            f"{manifest.bytes_of(variant) / 1e6:.1f}",
            f"{variant.agreement.same_top:.1%}",
            f"{variant.agreement.largest_difference:.2g}",
            variant.scheme,
        )
        table.add_row(*map(Text, cells))  # as text: a bracket is no markup
    console.print(table)


def verify(artifact: Path = _ARTIFACT) -> None:
    """Check every byte of an artifact against its manifest, and that every variant loads."""
    opened = Artifact(artifact)
    opened.verify()
    for name, variant in opened.manifest.variants.items():
        # Not through the artifact, which warns of variants that do not suit this machine.
        Session(name, opened.file(variant.graph), variant, "cpu", None)
    files, variants = len(opened.manifest.files), len(opened.variants)
    typer.echo(f"{artifact}: {files} files and {variants} variants are as they should be")
