"""The runtime's commands: `predict`, `info`, `verify`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from distilroberta.runtime import layout
from distilroberta.runtime.artifact import Artifact
from distilroberta.runtime.command_line import results
from distilroberta.runtime.errors import InputError
from distilroberta.runtime.execution.session import Session
from distilroberta.runtime.pipelines import pipeline

_ARTIFACT = typer.Argument(help="The folder that `distilroberta build` wrote.", metavar="ARTIFACT")
# Of a vector.
_SHOWN = 6
# The tasks that an option of `predict` is for, and what it is called in Python.
_OPTIONS = {
    "--top-k": (("fill-mask", "text-classification", "question-answering"), "top_k"),
    "--target": (("fill-mask",), "targets"),
    "--text-pair": (("text-classification",), "text_pair"),
    "--question": (("question-answering",), "question"),
    "--aggregation-strategy": (("token-classification",), "aggregation_strategy"),
    "--stride": (("token-classification",), "stride"),
    "--function-to-apply": (("text-classification",), "function_to_apply"),
    "--handle-impossible-answer": (("question-answering",), "handle_impossible_answer"),
    "--max-answer-len": (("question-answering",), "max_answer_len"),
    "--doc-stride": (("question-answering",), "doc_stride"),
    "--pooling": (("feature-extraction",), "pooling"),
    "--normalize": (("feature-extraction",), "normalize"),
    "--candidate-label": (("zero-shot-classification",), "candidate_labels"),
    "--hypothesis-template": (("zero-shot-classification",), "hypothesis_template"),
    "--multi-label": (("zero-shot-classification",), "multi_label"),
}
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
    task: str | None = typer.Option(
        None, help="zero-shot-classification, or the artifact's own task, which is the default."
    ),
    top_k: int | None = typer.Option(None, help="How many answers a text gets."),
    targets: list[str] | None = typer.Option(
        None, "--target", help="Fill-mask: score this word alone; may be repeated."
    ),
    text_pair: str | None = typer.Option(
        None, help="Text classification: the second text of a pair."
    ),
    question: str | None = typer.Option(
        None, help="Question answering: what is asked of each text."
    ),
    aggregation_strategy: str | None = typer.Option(
        None,
        help="Token classification: none, or entities by simple, first, average or max.",
    ),
    stride: int | None = typer.Option(
        None, help="Token classification: answer long texts in windows that share so many tokens."
    ),
    function_to_apply: str | None = typer.Option(
        None, help="Text classification: softmax, sigmoid or none."
    ),
    handle_impossible_answer: bool = typer.Option(
        False, "--handle-impossible-answer", help="Question answering: it may have no answer."
    ),
    max_answer_len: int | None = typer.Option(
        None, help="Question answering: how many tokens an answer has at the most."
    ),
    doc_stride: int | None = typer.Option(
        None, help="Question answering: how many tokens the windows of a long text share."
    ),
    pooling: str | None = typer.Option(
        None, help="Feature extraction: mean or cls, for one vector a text."
    ),
    normalize: bool = typer.Option(
        False, "--normalize", help="Feature extraction: pooled vectors of length 1."
    ),
    candidate_labels: list[str] | None = typer.Option(
        None,
        "--candidate-label",
        help="Zero-shot classification: a label to score; may be repeated.",
    ),
    hypothesis_template: str | None = typer.Option(
        None, help='Zero-shot classification: makes a hypothesis of a label, "This example is {}."'
    ),
    multi_label: bool = typer.Option(
        False, "--multi-label", help="Zero-shot classification: score each label by itself."
    ),
    variant: str = typer.Option("auto", help="fp32, fp16, int8-static, int8, int4 or auto."),
    provider: str = typer.Option("auto", help="cpu, cuda, tensorrt or auto."),
    threads: int | None = typer.Option(None, help="Threads that compute one call."),
    batch_size: int | None = typer.Option(
        None, help="How many texts are run at once; by their length, unless it is given."
    ),
    as_json: bool = _JSON,
) -> None:
    """Answer texts with an artifact."""
    pipe = pipeline(task, artifact, variant=variant, provider=provider, threads=threads)
    given = list(texts) if texts else _lines_of_stdin()
    if not given:
        raise InputError("no text: give one behind the artifact, or one a line on standard input")
    parameters = _parameters(
        pipe.task,
        {
            "--top-k": top_k,
            "--target": targets,
            "--text-pair": text_pair,
            "--question": question,
            "--aggregation-strategy": aggregation_strategy,
            "--stride": stride,
            "--function-to-apply": function_to_apply,
            "--handle-impossible-answer": handle_impossible_answer,
            "--max-answer-len": max_answer_len,
            "--doc-stride": doc_stride,
            "--pooling": pooling,
            "--normalize": normalize,
            "--candidate-label": candidate_labels,
            "--hypothesis-template": hypothesis_template,
            "--multi-label": multi_label,
        },
    )
    items: list[Any] = [*given]
    if parameters.pop("text_pair", None) is not None:
        items = [{"text": text, "text_pair": text_pair} for text in given]
    if pipe.task == "question-answering":
        if parameters.pop("question", None) is None:
            raise InputError("question-answering needs --question; the texts are what is read")
        items = [{"question": question, "context": text} for text in given]
    if pipe.task == "feature-extraction" and not as_json:
        parameters["return_tensors"] = True  # a few values are printed, for which arrays will do
    if batch_size is not None:
        parameters["batch_size"] = batch_size
    # One text goes in as itself, so that the answer is what Python returns for it.
    results = pipe(items[0] if len(items) == 1 else items, **parameters)
    if as_json:
        typer.echo(json.dumps(results, ensure_ascii=False, default=np.ndarray.tolist))
        return
    listed = [results] if len(items) == 1 else results
    for text, result in zip(given, listed, strict=True):
        _print_answer(text, result)


def _lines_of_stdin() -> list[str]:
    try:
        return [line.rstrip("\r\n") for line in sys.stdin]
    except UnicodeDecodeError as error:
        raise InputError(f"standard input is not {error.encoding} text: {error.reason}") from error


def _parameters(task: str, options: dict[str, Any]) -> dict[str, Any]:
    # Of the options that were given, which the task must be one of theirs for.
    parameters = {}
    for option, value in options.items():
        if value is None or value is False or value == []:
            continue
        tasks, name = _OPTIONS[option]
        if task not in tasks:
            advice = [f"add --task {one}" for one in tasks if layout.BUILT_FOR.get(one) == task]
            raise InputError(
                f"{option} is for {', '.join(tasks)}; this artifact is for {task}"
                + "".join(f": {words}" for words in advice)
            )
        parameters[name] = value
    return parameters


def _print_answer(text: str, result: Any) -> None:
    console = Console(emoji=False, highlight=False, soft_wrap=True)
    console.print(text, style="bold", markup=False)
    if isinstance(result, np.ndarray):
        values = " ".join(f"{value:.4f}" for value in result.ravel()[:_SHOWN].tolist())
        console.print(f"  {' x '.join(map(str, result.shape))}: {values} ...")
        return
    for mask, rows in enumerate(_by_mask(result), 1):
        if len(_by_mask(result)) > 1:
            console.print(f"  mask {mask}")
        for row in rows:
            console.print(f"  {row['score']:.4f}  {_words(row, text)}", markup=False)


def _words(row: dict[str, Any], text: str) -> str:
    if "label" in row:
        return str(row["label"])
    if "token_str" in row:
        return str(row["token_str"]).strip()
    found = text[row["start"] : row["end"]]
    if "answer" in row:
        return f"{row['start']}-{row['end']}  {found}"
    return f"{row['start']}-{row['end']}  {row.get('entity_group', row.get('entity'))}  {found}"


def _by_mask(result: Any) -> list[list[dict[str, Any]]]:
    if isinstance(result, dict) and "labels" in result:
        pairs = zip(result["labels"], result["scores"], strict=True)
        return [[{"label": label, "score": score} for label, score in pairs]]
    if isinstance(result, dict):
        return [[result]]
    return result if result and isinstance(result[0], list) else [result]


def info(
    artifact: Path = _ARTIFACT,
    provider: str | None = typer.Option(
        None, help="Load it on cpu, cuda, tensorrt or auto, and show what runs where."
    ),
    variant: str | None = typer.Option(None, help="The variant to load, with --provider."),
    as_json: bool = _JSON,
) -> None:
    """Show what an artifact holds, or how it runs on a provider."""
    opened = Artifact(artifact)
    if provider is not None:
        _print_session(opened.session(variant or "auto", provider=provider), as_json)
        return
    if variant is not None:
        raise InputError("--variant says what to load: add --provider")
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
    table = Table(
        "variant", "target", "graph", "MB", "same top", "cosine", "largest difference", "scheme"
    )
    for name, entry in manifest.variants.items():
        cells = (
            name,
            entry.target,
            entry.graph,
            f"{manifest.bytes_of(entry) / 1e6:.1f}",
            "-" if entry.agreement.same_top is None else f"{entry.agreement.same_top:.1%}",
            f"{entry.agreement.cosine:.4f}",
            f"{entry.agreement.largest_difference:.2g}",
            entry.scheme,
        )
        table.add_row(*map(Text, cells))  # as text: a bracket is no markup
    console.print(table)


def _print_session(session: Session, as_json: bool) -> None:
    nodes = session.nodes()
    found = {
        "variant": session.variant,
        "provider": session.provider,
        "threads": session.threads,
    }
    if as_json:
        typer.echo(json.dumps({**found, "nodes": nodes}))
        return
    console = results(soft_wrap=True)
    found["nodes"] = ", ".join(f"{count} on {name}" for name, count in nodes.items())
    for name, value in found.items():
        console.print(f"{name:9} {value}", markup=False)


def verify(artifact: Path = _ARTIFACT) -> None:
    """Check every byte of an artifact against its manifest, and that every variant loads."""
    opened = Artifact(artifact)
    opened.verify()
    for name, variant in opened.manifest.variants.items():
        # Not through the artifact, which warns of variants that do not suit this machine.
        Session(name, opened.file(variant.graph), variant, "cpu", None)
    files, variants = len(opened.manifest.files), len(opened.variants)
    typer.echo(f"{artifact}: {files} files and {variants} variants are as they should be")
