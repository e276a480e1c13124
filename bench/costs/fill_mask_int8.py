"""Fill-mask in INT8: our served graph against what optimum makes of the same checkpoint.

    distilroberta bench fill-mask [--checkpoint FOLDER] [--lengths 16,128]

Measured in one run, each engine in a process of its own, with the same number of threads, on the
same texts of an exact number of tokens with one mask each:

* ours INT8, session: `Artifact.session("int8")`, token ids to the logits of the mask;
* ours INT8, pipeline: `pipeline("fill-mask", ...)`, text to the five best words;
* optimum FP32, session: the file that `optimum-cli export onnx` writes, in a bare onnxruntime
  session, token ids to all logits;
* optimum INT8, session: that file quantized dynamically, in a bare onnxruntime session, without
  the Python that optimum runs around it, which flatters it;
* optimum INT8, pipeline: the same as its users run it, `ORTModelForMaskedLM` in a transformers
  fill-mask pipeline, text to the five best words.

optimum's files come in two kinds, tied and untied, and there is a third INT8 file, the tied one
quantized by onnxruntime's `quantize_dynamic` with its defaults: see `optimum_export`.

Before anything is timed, the answers are compared with those of optimum FP32; an engine whose
logits have a lower cosine to them than a build accepts of `int8` is named and not timed. Rounds go
from engine to engine in an order drawn anew for each; a round is some warm-up calls and the median
of some timed ones. The table shows the median of the rounds and their quartiles. "Times as fast" is
optimum INT8's time divided by ours within each round, session by session and pipeline by pipeline.

File MB are 10^6 bytes, the sum of the model files an engine reads. MB loaded and after are the
process's resident memory once the engine is loaded and once all is measured, libraries included,
and the file where it is mapped. Load seconds include importing what the engine needs, from files
that are in the page cache; the interpreter's own start is left out.

Without a checkpoint, random weights of DistilRoBERTa's shape are measured: see `checkpoints`. The
exit code does not depend on what was measured.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import typer

from distilroberta.bench.harness import command_line, machine, results_file, tables
from distilroberta.bench.harness.interleave import Plan
from distilroberta.bench.harness.recorded import recorded
from distilroberta.bench.harness.results_file import ResultsFile
from distilroberta.bench.harness.suite import Comparison, EngineSpec, compare
from distilroberta.bench.harness.workload import Shape
from distilroberta.bench.models import optimum_export, subject, texts
from distilroberta.bench.models.checkpoints import random_checkpoint
from distilroberta.bench.models.specs import artifact_engine, onnx_session, optimum_pipeline
from distilroberta.export import build
from distilroberta.quantize import int8
from distilroberta.runtime import Artifact
from distilroberta.runtime.command_line import messages

NAME = "fill-mask"
LEAST_COSINE = int8.RECIPE.lowest_cosine
_REFERENCE = "optimum FP32, session"
_PLAIN = "quantize_dynamic tied, session"
_VARIANT = "int8"
_PACKAGES = ("optimum", "optimum-onnx", "transformers", "torch", "onnx")


@dataclass(frozen=True)
class Models:
    """The same checkpoint, as our artifact and as optimum's export."""

    artifact: Artifact
    optimum: optimum_export.Exported


def make(checkpoint: Path | None, folder: Path) -> Models:
    """Build and export a checkpoint, or random weights, into an empty folder."""
    with messages.status("writing random weights") as status:
        source = checkpoint or random_checkpoint(folder / "checkpoint")
        artifact = build(
            source,
            folder / "artifact",
            task="fill-mask",
            variants=[_VARIANT],
            progress=lambda step: status.update(f"our artifact: {step}"),
        )
        status.update("exporting with optimum")
        return Models(artifact, optimum_export.export(source, folder / "optimum"))


def engines(models: Models, threads: int) -> list[EngineSpec]:
    """List the engines to compare, each with the same number of threads."""
    files = {kind: folder / optimum_export.INT8 for kind, folder in models.optimum.folders.items()}
    return [
        *_ours(models.artifact, list(files), threads),
        onnx_session(_REFERENCE, models.optimum.fp32, threads),
        *(
            describe(f"optimum INT8 {kind}, {how}", file, threads)
            for kind, file in files.items()
            for how, describe in (("session", onnx_session), ("pipeline", optimum_pipeline))
        ),
        onnx_session(_PLAIN, models.optimum.plain_int8, threads),
    ]


def _ours(artifact: Artifact, kinds: list[str], threads: int) -> list[EngineSpec]:
    return [
        artifact_engine(
            f"ours INT8, {how}",
            engine,
            artifact,
            _VARIANT,
            threads,
            (*(f"optimum INT8 {kind}, {how}" for kind in kinds), *plain),
        )
        for how, engine, plain in (
            ("session", "ArtifactSession", (_PLAIN,)),
            ("pipeline", "ArtifactPipeline", ()),
        )
    ]


def measure(
    models: Models,
    lengths: list[int],
    plan: Plan,
    threads: int,
    keep: Callable[[Comparison], None] = lambda _: None,
) -> Comparison:
    """Compare the engines on texts of these lengths; `keep` gets what is known after each round."""
    with messages.status("starting") as status:
        return compare(
            engines(models, threads),
            texts.of_artifact(models.artifact, [Shape(1, length) for length in lengths]),
            plan,
            reference=_REFERENCE,
            least_cosine=LEAST_COSINE,
            progress=status.update,
            keep=keep,
        )


def _warnings(comparison: Comparison) -> tuple[str, ...]:
    return comparison.warnings


def main(
    checkpoint: Path | None = typer.Option(
        None, help="A fill-mask checkpoint; random weights of DistilRoBERTa's shape without."
    ),
    lengths: str = typer.Option("16,128", help="Tokens of the texts, with commas between."),
    rounds: int = typer.Option(Plan.rounds, help="How many rounds are timed."),
    calls: int = typer.Option(Plan.calls, help="Timed calls in a round."),
    warmup: int = typer.Option(Plan.warmup, help="Calls before them that are not timed."),
    seed: int = typer.Option(Plan.seed, help="Of the order of the engines in each round."),
    threads: int | None = typer.Option(
        None, help="Threads of each engine; by default the CPUs this process may use."
    ),
    json_path: Path | None = typer.Option(None, "--json", help="Also write everything here."),
) -> None:
    """Tell how many times as fast as optimum's fill-mask in INT8 is."""
    plan = Plan(rounds=rounds, warmup=warmup, calls=calls, seed=seed)
    tokens = command_line.numbers(lengths, "--lengths")
    results_file.check(json_path)
    count = command_line.threads(threads)
    here = machine.describe(_PACKAGES)
    weights = subject.weights(checkpoint)
    scheme = optimum_export.INT8_SCHEME
    file = ResultsFile(json_path, NAME, here, threads=count, weights=weights, scheme=scheme)

    def show(comparison: Comparison) -> None:
        console = command_line.output()
        command_line.introduce(console, here, count, weights)
        console.print(f"optimum INT8: {scheme}", markup=False)
        title = "fill-mask, one text, one mask: median of the rounds (25 %-75 %)"
        tables.print_comparison(comparison, title)

    with tempfile.TemporaryDirectory() as folder:
        models = make(checkpoint, Path(folder))
        with recorded(file, count, show, tables.measured, _warnings) as keep:
            measure(models, tokens, plan, count, keep)
