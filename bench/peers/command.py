"""Our artifact beside other ways to run the same checkpoint.

    distilroberta bench peers [--task TASK] [--engines torch,openvino-int8] [--peers FOLDER] ...

The same texts go through PyTorch, `torch.compile`, optimum-onnx, OpenVINO, CTranslate2 and ours,
each in a process of its own, with the same number of threads and the settings that `lineup.py` and
`schemes.py` name. At the level `model` that is token ids to logits, at the level `pipeline` texts
to answers, as these libraries' users call them.

All engines of a task and level stay loaded. In fill-mask 8 texts of 512 tokens have 823 MB of
logits, so that most engines keep 1 to 2.6 GB, 14 GB together; `--engines` and `--shapes` choose
fewer.

OpenVINO and CTranslate2 need an environment of their own, which `distilroberta bench
peers-environment FOLDER` makes and `--peers FOLDER` names. What is left out is said in the output.

Before anything is timed, the answers are compared with those of PyTorch; an engine whose logits
have too low a cosine to them is named and not timed. They are compared on what is timed, but for
two things: of a classifier with few labels on batches of eight texts (`checked_shapes.py`), and of
fill-mask pipelines on batches of up to 128 tokens alone, since scoring a whole vocabulary takes
some of them minutes. The results name these batches under `checked`.

Rounds go from engine to engine in an order drawn anew for each; a round is the median of some
calls, of one where it is long. The tables show medians of the rounds and their quartiles; how many
times as fast ours are is told by `ratios.py`. `--limit` adds how near ours come to the limit of the
machine, see `machine_limit`.

File MB are 10^6 bytes, the sum of the model files an engine reads. MB loaded and after are the
process's resident memory once the engine is loaded and once all is measured, libraries included,
and the file where it is mapped. Load seconds include importing what the engine needs, from files
that are in the page cache; the interpreter's own start is left out.

Without a checkpoint, random weights of DistilRoBERTa's shape are measured: see `checkpoints`.
Results are written after every round, into a new file in `bench-results` unless `--json` names one;
Ctrl-C keeps what was measured. The exit code is 1 where nothing was.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from distilroberta.bench.errors import BenchError
from distilroberta.bench.harness import command_line, machine, results_file
from distilroberta.bench.harness.interleave import Plan
from distilroberta.bench.harness.recorded import recorded
from distilroberta.bench.harness.results_file import ResultsFile
from distilroberta.bench.models import subject
from distilroberta.bench.peers import environment, lineup
from distilroberta.bench.peers import results as peers_results
from distilroberta.bench.peers import tables as peers_tables
from distilroberta.bench.peers import verdict as peers_verdict
from distilroberta.bench.peers.lineup import LEVELS, MODEL, PIPELINE, TASKS, WHAT
from distilroberta.bench.peers.run import PeersRun, Settings
from distilroberta.quantize import options as option_rules
from distilroberta.quantize.options import Options
from distilroberta.runtime.command_line import messages
from distilroberta.runtime.errors import InputError

NAME = "peers"
BOTH = "both"
_PACKAGES = ("optimum", "optimum-onnx", "transformers", "torch", "onnx")
# Where `make bench-peers` puts the environment.
_USUAL_ENVIRONMENT = Path(".venv-peers")


def main(
    task: str = typer.Option(BOTH, help=f"{', '.join(TASKS)} or {BOTH}."),
    checkpoint: Path | None = typer.Option(
        None,
        help="A checkpoint of one task, a folder or a hub id; random weights of DistilRoBERTa's "
        "shape without.",
    ),
    engines: str | None = typer.Option(
        None,
        help=f"Of {', '.join(lineup.ENGINES)}, with commas between; all but "
        f"{lineup.PER_TENSOR} without.",
    ),
    variants: str = typer.Option("fp32,int8", help="Ours, with commas between."),
    levels: str = typer.Option(
        ",".join(LEVELS), help=f"{MODEL}: {WHAT[MODEL]}; {PIPELINE}: {WHAT[PIPELINE]}."
    ),
    shapes: str = typer.Option(
        "16,128,512,8x16,8x128,8x512",
        help="Tokens of a text, or texts x tokens, with commas between.",
    ),
    peers_folder: Path | None = typer.Option(
        None,
        "--peers",
        help="The environment of OpenVINO and CTranslate2, which `bench peers-environment` makes; "
        f"{_USUAL_ENVIRONMENT} if it is there.",
    ),
    limit: bool = typer.Option(
        False, "--limit", help="Also measure how near ours come to the machine's limit."
    ),
    rounds: int = typer.Option(5, help="How many rounds are timed."),
    calls: int = typer.Option(10, help="Timed calls in a round, at the most."),
    seconds: float = typer.Option(0.3, help="How long they may take: fewer, if they are long."),
    warmup: int = typer.Option(2, help="Calls before them that are not timed, at the most."),
    seed: int = typer.Option(Plan.seed, help="Of the order of the engines in each round."),
    threads: int | None = typer.Option(
        None, help="Threads of each engine; by default the CPUs this process may use."
    ),
    json_path: Path | None = typer.Option(
        None, "--json", help="Where the results go; by default a new file in bench-results."
    ),
) -> None:
    """What do I gain over PyTorch, optimum, OpenVINO or CTranslate2 on the same checkpoint?"""
    asked = []
    if engines is not None:
        asked = command_line.words(engines, "--engines", lineup.ENGINES)
    settings = Settings(
        tasks=_tasks(task, checkpoint),
        levels=command_line.words(levels, "--levels", LEVELS),
        shapes=command_line.shapes(shapes, "--shapes"),
        plan=Plan(rounds=rounds, warmup=warmup, calls=calls, seed=seed, seconds=seconds),
        engines=lineup.Settings(
            variants=option_rules.check([name.strip() for name in variants.split(",")], Options()),
            engines=asked or lineup.DEFAULT,
            threads=command_line.threads(threads),
            interpreter=_interpreter(peers_folder, asked),
        ),
        limit=limit,
    )
    path = results_file.named(json_path, NAME)
    _run(settings, checkpoint, path)


def _run(settings: Settings, checkpoint: Path | None, path: Path) -> None:
    here = machine.describe(_PACKAGES)
    threads, weights = settings.engines.threads, subject.weights(checkpoint)
    file = ResultsFile(path, NAME, here, threads=threads, weights=weights)
    console = command_line.output()
    command_line.introduce(console, here, threads, weights)
    console.print(f"every round is kept in {path}", markup=False)

    def verdict(run: PeersRun) -> str:
        return peers_verdict.sentence(run.found, settings.variant)

    def to_json(run: PeersRun) -> dict[str, Any]:
        return {
            "verdict": verdict(run),
            "comparisons": [peers_results.to_json(one) for one in run.found],
            "schemes": run.schemes,
            "peers_packages": run.packages,
            "left_out": run.left_out,
        }

    def show(run: PeersRun) -> None:
        console.print(verdict(run), markup=False)
        peers_tables.print_tables(run.found, run.left_out, run.schemes, console)

    def warnings(run: PeersRun) -> list[str]:
        return peers_results.warnings(run.found)

    with (
        recorded(file, threads, show, to_json, warnings) as keep,
        messages.status("starting") as status,
    ):
        run = PeersRun(settings, checkpoint, keep)
        run.measure(status.update)
        keep(run)
        if run.is_empty:
            why = "; ".join(f"{name}: {reason}" for name, reason in run.refused.items())
            raise BenchError(f"nothing was measured: {why}")


def _tasks(task: str, checkpoint: Path | None) -> list[str]:
    if task != BOTH and task not in TASKS:
        raise InputError(f"--task must be {', '.join(TASKS)} or {BOTH}, found {task!r}")
    if task == BOTH and checkpoint is not None:
        raise InputError(f"a checkpoint is for one task: add --task {' or --task '.join(TASKS)}")
    return list(TASKS) if task == BOTH else [task]


def _interpreter(named: Path | None, asked: Sequence[str]) -> Path | None:
    if named is not None:
        return environment.interpreter(named)
    if _USUAL_ENVIRONMENT.is_dir():
        messages.print(
            f"OpenVINO and CTranslate2 run in {_USUAL_ENVIRONMENT}; --peers names another",
            markup=False,
        )
        return environment.interpreter(_USUAL_ENVIRONMENT)
    for engine in asked:
        if lineup.needs_environment(engine):
            raise InputError(f"{engine} {lineup.NO_ENVIRONMENT}")
    return None
