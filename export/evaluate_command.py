"""The command `evaluate`: its words, its progress bar, its table and its JSON."""

from __future__ import annotations

import json
import os
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from distilroberta.export.errors import ExportError
from distilroberta.quantize.cli import names
from distilroberta.quantize.quality import BATCH_SIZE
from distilroberta.runtime.artifact import Artifact
from distilroberta.runtime.command_line import Steps, results
from distilroberta.runtime.errors import InputError

if TYPE_CHECKING:
    from distilroberta.quantize.quality.result import Result

_FOR_PYTORCH = ("torch", "transformers", "safetensors", "huggingface_hub")
_TOOLS = ("distilroberta-onnx", "onnxruntime", "tokenizers")
_STDOUT = Path("-")


def evaluate(
    artifact: Path = typer.Argument(help="The folder that `distilroberta build` wrote."),
    data: Path = typer.Option(
        help="Labelled data: TSV as GLUE ships it, CSV, JSON lines, Parquet, CoNLL columns, or "
        "SQuAD's JSON."
    ),
    task: str | None = typer.Option(None, help="The artifact's task; another one is refused."),
    data_format: str | None = typer.Option(
        None,
        "--format",
        help="tsv, csv, jsonl, parquet, conll or squad; by default what name and content say.",
    ),
    columns: str | None = typer.Option(
        None, help="Columns by name, or by number without a header: text=sentence,label=gold."
    ),
    variants: str | None = typer.Option(
        None, help="Which variants to score, with commas between; by default all."
    ),
    limit: int | None = typer.Option(None, help="Take only the first so many examples."),
    batch_size: int = typer.Option(
        BATCH_SIZE, help="Rows that go through a model at once; the runtime's own is 1."
    ),
    provider: str = typer.Option("cpu", help="cpu, cuda, tensorrt or auto."),
    threads: int | None = typer.Option(
        None, help="Threads that compute a batch; 1 where other work keeps the CPUs busy."
    ),
    checkpoint: str | None = typer.Option(
        None, help="What the artifact was built from; by default the name in the manifest."
    ),
    reference: bool = typer.Option(
        True, "--reference/--no-reference", help="Compare with the checkpoint in PyTorch."
    ),
    json_file: Path | None = typer.Option(
        None, "--json", help="Write the result there as JSON; - prints it in place of the table."
    ),
) -> None:
    """Score the variants of an artifact on labelled data, and against PyTorch."""
    # Not at the top: every other command would load it too.
    from distilroberta.quantize.quality.report import table

    if reference:
        _check_pytorch()
    if json_file is not None and json_file != _STDOUT:
        _check_writable(json_file)
    opened = Artifact(artifact)
    result = _run(
        opened,
        data,
        task=task,
        data_format=data_format,
        columns=_columns(columns),
        variants=None if variants is None else names(variants),
        limit=limit,
        batch_size=batch_size,
        provider=provider,
        threads=threads,
        checkpoint=checkpoint,
        with_pytorch=reference,
    )
    if json_file is not None:
        text = json.dumps(_tree(opened, result, with_pytorch=reference), indent=2) + "\n"
        if json_file == _STDOUT:
            typer.echo(text, nl=False)
            return
        _write(json_file, text)
    results().print(table(result))


def _check_pytorch() -> None:
    missing = [name for name in _FOR_PYTORCH if find_spec(name) is None]
    if missing:
        raise InputError(
            f"PyTorch's answers need the export extra ({', '.join(missing)} missing): pip install "
            "'distilroberta-onnx[export,evaluate]', or leave PyTorch out with --no-reference"
        )


def _columns(given: str | None) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in (given or "").split(",") if pair.strip()]
    if not all(part.strip() and name.strip() for part, _, name in pairs):
        raise InputError(f"--columns must be as text=NAME,label=NAME, found {given!r}")
    return {part.strip(): name.strip() for part, _, name in pairs}


def _run(artifact: Artifact, data: Path, **options: Any) -> Result:
    from distilroberta.export.evaluate import evaluate as run

    with Steps() as steps:
        return run(artifact, data, starting=steps.start, progress=steps.advance, **options)


def _tree(artifact: Artifact, result: Result, *, with_pytorch: bool) -> dict[str, Any]:
    tools = (*_TOOLS, "torch", "transformers") if with_pytorch else _TOOLS
    return {
        "source": artifact.manifest.source.name,
        "source_sha256": artifact.manifest.source.sha256,
        **result.to_json(),
        "tools": {name: version(name) for name in tools},
    }


def _check_writable(path: Path) -> None:
    if path.is_dir() or not path.parent.is_dir():
        raise InputError(f"{path} can't be written: it must be a file in a folder that is there")


def _write(path: Path, text: str) -> None:
    # Beside it and then renamed, so that a reader finds the old file or the new one.
    try:
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
            written = Path(folder) / path.name
            written.write_text(text, "utf-8")
            os.replace(written, path)
    except OSError as error:
        raise ExportError(f"{path} could not be written: {error.strerror}") from error
