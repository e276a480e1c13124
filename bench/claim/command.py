"""Is DistilRoBERTa twice as fast as RoBERTa-base, as its model card says?

    distilroberta bench claim [--tasks ...] [--engines ours,usual,torch] [--precision int8] ...

Both models run in the same engine, precision and task, each in a process of its own, with the same
number of threads, on the same token ids, from these to the logits (or the hidden states, for
features). Rounds alternate between the two, and the ratio is taken within each round: see
`interleave` and `ratio_interval`.

Before that, each is compared with PyTorch on the same checkpoint: on the cells of at most 512
tokens in all, of text-classification 4,096, or on one text of the shortest length where all have
more. Classifiers with fewer than eight labels are compared on eight texts at the least. The
results name what was compared, as `checked`. A pair of which one model is refused is left out.

Every length and batch is a cell. What its ratio says of the claim is told by `claim/verdict.py`,
and why the claim fails where it does by `claim/reason.py`; the ratio over all cells is their
geometric mean. The engines are those of `claim/models.py`: our served graphs, and the usual export,
which runs the language-model head for every token. Where none is named, ours run every task, and
the usual export fill-mask and feature-extraction.

Memory: both models are loaded at once. On fill-mask, the usual export and PyTorch hold about three
times their logits each, texts x tokens x words x 4 bytes: about 21 GB for both models at 32 x 512
tokens. A cell that needs more than is free is not run, and says so.

Results are written after every round, into a new file in `bench-results` unless `--json` names one;
Ctrl-C keeps what was measured. The exit code does not depend on what was measured; it is 1 where
nothing could be.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import typer

from distilroberta.bench.claim import results, tables
from distilroberta.bench.claim.models import (
    ENGINES,
    OURS,
    PRECISIONS,
    RANDOM,
    REAL,
    TASKS,
    Models,
)
from distilroberta.bench.claim.results import Found, Pair
from distilroberta.bench.claim.run import Claim, Settings
from distilroberta.bench.errors import BenchError
from distilroberta.bench.harness import command_line, machine, results_file
from distilroberta.bench.harness.interleave import Plan
from distilroberta.bench.harness.recorded import recorded
from distilroberta.bench.harness.results_file import ResultsFile
from distilroberta.bench.harness.workload import Shape
from distilroberta.runtime.command_line import messages, one_line
from distilroberta.runtime.errors import DistilRobertaError, InputError

NAME = "claim"
_PACKAGES = ("optimum", "optimum-onnx", "transformers", "torch", "onnx")


def main(
    tasks: str = typer.Option(",".join(TASKS), help="With commas between."),
    engines: str | None = typer.Option(
        None,
        help=f"Of {', '.join(ENGINES)}, with commas between, for every task; by default ours, and "
        "for fill-mask and feature-extraction the usual export too.",
    ),
    precision: str = typer.Option("fp32", help="Of both models: fp32, fp16, int8 or int4."),
    lengths: str = typer.Option("8,32,128,512", help="Tokens of a text, with commas between."),
    batches: str = typer.Option(
        "1,8,32",
        help="Texts in a call, with commas between. On fill-mask the usual export and torch need "
        "about 21 GB for 32 texts of 512 tokens; a cell that does not fit is not run.",
    ),
    weights: str = typer.Option(
        RANDOM,
        help=f"{RANDOM}, of the real shapes; {REAL}, from the model hub; or two checkpoints, "
        "folders or hub ids, with a comma between, DistilRoBERTa's first.",
    ),
    rounds: int = typer.Option(5, help="How many rounds are timed."),
    calls: int = typer.Option(20, help="Timed calls in a round, at the most."),
    seconds: float = typer.Option(0.2, help="How long they may take: fewer, if they are long."),
    warmup: int = typer.Option(2, help="Calls before them that are not timed, at the most."),
    seed: int = typer.Option(Plan.seed, help="Of the order in each round."),
    threads: int | None = typer.Option(
        None, help="Threads of each engine; by default the CPUs this process may use."
    ),
    json_path: Path | None = typer.Option(
        None, "--json", help="Where the results go; by default a new file in bench-results."
    ),
) -> None:
    """Is DistilRoBERTa twice as fast as RoBERTa-base? By task, length and batch, and why not."""
    shapes = [
        Shape(rows, tokens)
        for rows in command_line.numbers(batches, "--batches")
        for tokens in command_line.numbers(lengths, "--lengths")
    ]
    settings = Settings(
        tasks=command_line.words(tasks, "--tasks", TASKS),
        engines=_engines(engines, precision),
        precision=precision,
        shapes=shapes,
        plan=Plan(rounds=rounds, warmup=warmup, calls=calls, seed=seed, seconds=seconds),
        threads=command_line.threads(threads),
    )
    path = results_file.named(json_path, NAME)
    here = machine.describe(_PACKAGES)
    with tempfile.TemporaryDirectory() as folder:
        models = Models(weights, Path(folder) / "checkpoints", settings.threads)
        claim = Claim(models, settings, Path(folder))
        console = command_line.output()
        command_line.introduce(console, here, settings.threads, models.weights)
        console.print(f"every round is kept in {path}", markup=False)
        file = ResultsFile(path, NAME, here, threads=settings.threads, weights=models.weights)
        _run(claim, file, settings.threads)


def _engines(listed: str | None, precision: str) -> list[str]:
    if precision not in PRECISIONS[OURS]:
        known = ", ".join(PRECISIONS[OURS])
        raise InputError(f"--precision must be one of {known}, found {precision!r}")
    if listed is None:
        return []
    found = [ENGINES[name] for name in command_line.words(listed, "--engines", ENGINES)]
    for engine in found:
        if precision not in PRECISIONS[engine]:
            raise InputError(
                f"{engine} is measured in {', '.join(PRECISIONS[engine])}, found --precision "
                f"{precision}: take it out of --engines, or choose another precision"
            )
    return found


def _run(claim: Claim, file: ResultsFile, threads: int) -> None:
    with (
        recorded(file, threads, tables.show, results.to_json, results.warnings) as keep,
        messages.status("starting") as status,
    ):
        claim.prepare(status.update)
        done: list[Pair] = []
        left_out: dict[str, str] = {}
        for task, engine in claim.pairs():

            def so_far(pair: Pair) -> None:
                keep(Found([*done, pair], left_out))

            try:
                done.append(claim.measure(task, engine, progress=status.update, keep=so_far))
            except InputError:  # what is asked for is wrong, for the others too
                raise
            except DistilRobertaError as error:  # the others may still be measured
                left_out[f"{task}, {engine}"] = one_line(error)
        keep(Found(done, left_out))
        if all(pair.overall.ratio is None for pair in done):
            reasons = [*left_out.values(), *(str(pair.overall.reason) for pair in done)]
            raise BenchError(f"nothing was measured: {reasons[0]}")
