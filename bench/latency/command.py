"""What do I gain by shipping this artifact? Its variants side by side.

    distilroberta bench latency [ARTIFACT] [--providers cpu,cuda] [--shapes 16,128,512,8x128]

Each variant on each provider is an engine, in a process of its own, with the same number of threads
and the same texts of an exact number of tokens. What is timed is a whole call of the pipeline, from
texts to answers; with `--level model` the graph alone, from token ids to logits. Of
feature-extraction the pipeline gives vectors, the mean over the tokens; of question-answering a
text is the question and its context.

Before anything is timed, the answers are compared with those of the artifact's `fp32`, or of what
is nearest to the checkpoint in an artifact without; on the CPU where it is among the providers, or
else on the first provider that starts. An engine whose answers have a lower cosine to them than a
build accepts of its variant is named and not timed. A provider that does not start is named and
left out.

Rounds go from engine to engine in an order drawn anew for each; a round is some warm-up calls and
some timed ones, fewer where they are long. p50, p90 and p99 are over the timed calls of all rounds:
a p99 of less than 100 calls is not told, nor a p90 of less than 10; by default there are 100 of
calls of up to about 100 ms. "Rounds" are the quartiles of the rounds' medians. "Times as fast" is
the median of what the two took in each round, with a bootstrap interval of 95 %; texts/s are the
texts of all timed calls by the time these took, one call after the other. Where the sentence on top
speaks of the fastest of several variants, that one was picked after the fact, and it says of how
many.

File MB are 10^6 bytes, the sum of the model files a variant reads. MB after and at most are its
process's resident memory when all was measured, and the most there ever was: libraries included,
and the file where it is mapped. Load and cold start are of the same fresh processes, which load the
pipeline at either level, from files that are in the page cache: from the first import to a pipeline
that is ready, and on to its first answer, of one text of the headline's length; the interpreter's
own start is left out. With `--cold-starts 0` load is that of the one process that was timed. Same
top, KL and cosine are those that the build found, and wrote into the manifest. Energy is told where
the machine counts it: see `energy`.

Without an artifact, random weights of DistilRoBERTa's shape are measured: see `checkpoints`. The
exit code does not depend on what was measured.
"""

from __future__ import annotations

import hashlib
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from distilroberta.bench.harness import command_line, machine, results_file
from distilroberta.bench.harness.interleave import Plan
from distilroberta.bench.harness.recorded import recorded
from distilroberta.bench.harness.results_file import ResultsFile
from distilroberta.bench.latency import results as latency_results
from distilroberta.bench.latency import tables as latency_tables
from distilroberta.bench.latency import verdict as latency_verdict
from distilroberta.bench.latency.results import Measured
from distilroberta.bench.latency.run import LEVELS, LatencyRun, Settings
from distilroberta.bench.models import subject
from distilroberta.runtime import Artifact, layout
from distilroberta.runtime.command_line import messages
from distilroberta.runtime.errors import InputError
from distilroberta.runtime.execution.provider import PROVIDERS

NAME = "latency"
# The tasks that random weights are made for.
_TASKS = ("fill-mask", "text-classification")
_FP32 = "fp32"
_CALLS = 20
_SECONDS, _MOST_SECONDS = 0.5, 2.0
# So many calls in all a p99 takes; calls of so long are to have it, the slower of them included.
_ENOUGH_CALLS = 100
_LONG_CALL_SECONDS = 0.11


def main(
    artifact: Path | None = typer.Argument(
        None,
        help="The folder that `distilroberta build` wrote; random weights of DistilRoBERTa's shape "
        "without.",
        metavar="ARTIFACT",
    ),
    task: str | None = typer.Option(
        None, help="Of random weights: fill-mask, the default, or text-classification."
    ),
    variants: str | None = typer.Option(
        None, help="With commas between; by default all that the artifact has."
    ),
    providers: str = typer.Option("cpu", help="cpu, cuda, tensorrt, with commas between."),
    level: str = typer.Option(
        "pipeline", help="pipeline, from texts to answers, or model, from token ids to logits."
    ),
    shapes: str = typer.Option(
        "16,128,512,8x128", help="Tokens of a text, or texts x tokens, with commas between."
    ),
    rounds: int = typer.Option(Plan.rounds, help="How many rounds are timed."),
    calls: int | None = typer.Option(
        None,
        help="Timed calls in a round, at the most; 20 by default, more where 100 in all take it.",
    ),
    warmup: int = typer.Option(Plan.warmup, help="Calls before them that are not timed."),
    seconds: float | None = typer.Option(
        None,
        help="How long the timed calls of a round may take: of long calls there are fewer. By "
        "default enough for 100 calls of 100 ms in all rounds, 0.5 to 2.",
    ),
    starts: int = typer.Option(
        5, "--cold-starts", help="Fresh processes of each, to the first answer; 0 for none."
    ),
    seed: int = typer.Option(Plan.seed, help="Of the order in each round."),
    threads: int | None = typer.Option(
        None, help="Threads of each engine; by default the CPUs this process may use."
    ),
    json_path: Path | None = typer.Option(
        None, "--json", help="The results file; a new one in bench-results without."
    ),
) -> None:
    """Show what each variant of an artifact gains: latency, memory, start, size, quality, energy.

    Results are kept after every round; Ctrl-C shows those so far.
    """
    sizes = command_line.shapes(shapes, "--shapes")
    plan = _plan(rounds, calls, warmup, seconds, seed)
    chosen = command_line.words(providers, "--providers", PROVIDERS)
    if level not in LEVELS:
        raise InputError(f"--level must be {' or '.join(LEVELS)}, found {level!r}")
    if starts < 0:
        raise InputError(f"--cold-starts must be 0 or more, found {starts}")
    count = command_line.threads(threads)
    asked = None
    if variants is not None:
        asked = command_line.words(variants, "--variants", layout.VARIANTS)
    results_file.check(json_path)
    with tempfile.TemporaryDirectory() as folder:
        made = _subject(artifact, task, asked, Path(folder))
        names = asked or made.variants
        settings = Settings((*names,), (*chosen,), level, (*sizes,), plan, count, starts)
        _run(made, settings, results_file.named(json_path, NAME), artifact)


def _plan(rounds: int, calls: int | None, warmup: int, seconds: float | None, seed: int) -> Plan:
    least = math.ceil(_ENOUGH_CALLS / max(rounds, 1))
    if calls is None:
        calls = max(_CALLS, least)
    if seconds is None:
        seconds = min(_MOST_SECONDS, max(_SECONDS, least * _LONG_CALL_SECONDS))
    return Plan(rounds=rounds, warmup=warmup, calls=calls, seed=seed, seconds=seconds)


def _subject(
    artifact: Path | None, task: str | None, variants: Sequence[str] | None, folder: Path
) -> Artifact:
    if artifact is not None:
        return subject.opened(artifact, [task] if task else layout.TASKS, variants or [])
    wanted = task or _TASKS[0]
    if wanted not in _TASKS:
        raise InputError(
            f"random weights are made for {' or '.join(_TASKS)}; for {wanted!r} give an artifact"
        )
    built = variants or layout.DEFAULT_VARIANTS
    # Answers are compared with FP32's, also where that is not measured.
    return subject.alone(wanted, None, list(dict.fromkeys([_FP32, *built])), folder)


def _run(artifact: Artifact, settings: Settings, path: Path, given: Path | None) -> None:
    here = machine.describe()
    weights = subject.weights(given and artifact.path)
    about = {
        "name": artifact.path.name if given else weights,
        "digest": hashlib.sha256((artifact.path / layout.MANIFEST).read_bytes()).hexdigest(),
        "task": artifact.task,
    }
    fields = {"threads": settings.threads, "weights": weights, "level": settings.level}
    file = ResultsFile(path, NAME, here, artifact=about, **fields)

    def to_json(measured: Measured) -> dict[str, Any]:
        return {"verdict": verdict(measured), **latency_results.to_json(measured)}

    def verdict(measured: Measured) -> str:
        return latency_verdict.sentence(measured, trained=given is not None)

    def warnings(measured: Measured) -> list[str]:
        said = latency_results.warnings(measured)
        if given is None:
            said.append("same top, KL and cosine of random weights tell nothing of a trained model")
        return said

    def show(measured: Measured) -> None:
        console = command_line.output()
        console.print(f"{verdict(measured)}\n\n{here}", markup=False, soft_wrap=True)
        if measured.gpu is not None:
            console.print(
                f"{measured.gpu.name}, compute capability {measured.gpu.capability}",
                markup=False,
                soft_wrap=True,
            )
        console.print(
            f"{settings.threads} threads for each engine; {weights}", markup=False, soft_wrap=True
        )
        console.print(command_line.exact(), markup=False, soft_wrap=True)
        title = f"{artifact.task}, {LEVELS[settings.level][1]}: {settings.plan.rounds} rounds"
        latency_tables.print_tables(measured, title)
        messages.print(f"what was measured is in {path}", markup=False)

    with (
        recorded(file, settings.threads, show, to_json, warnings) as keep,
        messages.status("starting") as status,
    ):
        LatencyRun(artifact, settings, keep=keep).run(status.update)
