"""Every variant of an artifact against what others make of the same checkpoint.

    python -m distilroberta.bench.quantized [--task TASK] [--peers ENVIRONMENT] [--json FILE]

Measured in one run, each engine in a process of its own, with the same number of threads, on the
same texts of an exact number of tokens, from token ids to logits:

* ours: `Artifact.session` with each variant that the artifact holds;
* our graph per tensor: the plain INT8 form, see `per_tensor`;
* optimum FP32: the file that `optimum-cli export onnx` writes, in a bare onnxruntime session;
* optimum INT8: that file through `ORTQuantizer`, and through onnxruntime's `quantize_dynamic`; for
  fill-mask with the embedding stored once (tied) and twice (untied), see `optimum_export`;
* ours int8-static in OpenVINO: the standard graph of that variant, where it is measured;
* OpenVINO FP32, BF16 where the machine has it, and INT8 through NNCF, see `peer_models`;
* CTranslate2 INT8, whose users compute the head themselves, see `peer_engines`.

OpenVINO and CTranslate2 need an environment of their own, which `--peers` names and
`python -m distilroberta.bench.peer_environment` makes. What is left out is said in the output.

Before anything is timed, the answers are compared with those of optimum FP32; an engine whose
logits have too low a cosine to them is named and not timed. Rounds go from engine to engine in an
order drawn anew for each; a round is some warm-up calls and the median of some timed ones. The
tables show medians of the rounds and their quartiles. "Times as fast" is the other engine's time
divided by ours within each round. The last table says how near each variant comes to the limit of
the machine, see `machine_limit`.

File MB are 10^6 bytes, the sum of the model files an engine reads. MB loaded and after are the
process's resident memory once the engine is loaded and once all is measured, libraries included,
and the file where it is mapped. Load seconds include importing what the engine needs, from files
that are in the page cache; the interpreter's own start is left out.

Without a checkpoint, random weights of DistilRoBERTa's shape are measured: see `checkpoints`. The
exit code does not depend on what was measured.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import typer

from distilroberta.bench import (
    command_line,
    machine,
    machine_limit,
    optimum_export,
    peer_environment,
    peers,
    per_tensor,
    report,
    texts,
)
from distilroberta.bench.checkpoints import random_checkpoint
from distilroberta.bench.interleave import Plan
from distilroberta.bench.machine_limit import Limits, MachineLimit
from distilroberta.bench.peers import Peers
from distilroberta.bench.specs import artifact_engine, onnx_session
from distilroberta.bench.suite import Comparison, EngineSpec, compare
from distilroberta.bench.workload import Shape
from distilroberta.export import build
from distilroberta.quantize import options as option_rules
from distilroberta.quantize.options import Options
from distilroberta.runtime import Artifact, layout
from distilroberta.runtime.command_line import messages
from distilroberta.runtime.errors import InputError

MODULE = "distilroberta.bench.quantized"
TASKS = ("text-classification", "fill-mask")
BOTH = "both"
# Of the logits of random weights, where nothing stands out of what quantizing adds. A graph that
# is put together wrongly is far below.
LEAST_COSINE = 0.95
_REFERENCE = "optimum FP32"
_FP32 = "fp32"  # what the plain INT8 form is made from
_PER_TENSOR = "our graph per tensor"
_PACKAGES = ("optimum", "optimum-onnx", "transformers", "torch", "onnx")
# The variant for other engines, and what it is called in one of them.
_STATIC = "int8-static"
_STATIC_IN_OPENVINO = f"ours {_STATIC} in OpenVINO"
_NO_PEERS = "no environment was named with --peers"


@dataclass(frozen=True)
class Models:
    """The same checkpoint, as our artifact, as optimum's export and as the peers have it.

    `variants` are those of the artifact that are measured.
    """

    artifact: Artifact
    variants: list[str]
    per_tensor: Path
    optimum: optimum_export.Exported
    peers: Peers


@dataclass(frozen=True)
class Settings:
    """How each task is measured."""

    shapes: list[Shape]
    plan: Plan
    threads: int
    variants: list[str]
    interpreter: Path | None


@dataclass(frozen=True)
class Measured:
    """What was measured of one task."""

    comparison: Comparison
    limits: Limits
    peers: Peers


def make(task: str, checkpoint: Path | None, folder: Path, settings: Settings) -> Models:
    """Build and export a checkpoint, or random weights, into an empty folder.

    Raises:
        BenchError: another tool could not use it.
        DistilRobertaError: as `build`.
    """
    with messages.status("writing random weights") as status:
        source = checkpoint or random_checkpoint(folder / "checkpoint", task=task)
        artifact = build(
            source,
            folder / "artifact",
            task=task,
            progress=lambda step: status.update(f"our artifact: {step}"),
            variants=[_FP32, *settings.variants],
        )
        status.update("quantizing per tensor")
        plain = folder / "per_tensor.onnx"
        per_tensor.write(artifact, plain)
        status.update("exporting with optimum")
        optimum = optimum_export.export(source, folder / "optimum", task)
        if settings.interpreter is None:
            skipped = {"OpenVINO": _NO_PEERS, "CTranslate2": _NO_PEERS}
            return Models(artifact, settings.variants, plain, optimum, Peers([], {}, skipped))
        status.update("converting for OpenVINO and CTranslate2")
        made = peers.make(settings.interpreter, task, source, folder / "peers", settings.threads)
        if _STATIC in settings.variants:
            graph = artifact.path / artifact.variant(_STATIC).standard
            static = peers.openvino(
                _STATIC_IN_OPENVINO, graph, settings.interpreter, settings.threads
            )
            made = replace(made, engines=[static, *made.engines])
        return Models(artifact, settings.variants, plain, optimum, made)


def engines(models: Models, threads: int) -> list[EngineSpec]:
    """List the engines to compare, ours first; each of ours is compared with all others."""
    optimum = models.optimum
    others = [
        onnx_session(_PER_TENSOR, models.per_tensor, threads),
        onnx_session(_REFERENCE, optimum.fp32, threads),
        *(
            onnx_session(f"optimum INT8 {kind}".strip(), folder / optimum_export.INT8, threads)
            for kind, folder in optimum.folders.items()
        ),
        onnx_session("quantize_dynamic INT8", optimum.plain_int8, threads),
        *models.peers.engines,
    ]
    baselines = tuple(spec.name for spec in others)
    ours = [
        artifact_engine(_ours(name), "ArtifactSession", models.artifact, name, threads, baselines)
        for name in models.variants
    ]
    return [*ours, *others]


def _ours(variant: str) -> str:
    return f"ours {variant}"


def measure(models: Models, settings: Settings) -> Measured:
    """Compare the engines on texts of the shapes asked for, and with the machine's limit."""
    workloads = texts.of_artifact(models.artifact, settings.shapes)
    with messages.status("counting operations") as status:
        names = {variant: _ours(variant) for variant in models.variants}
        limit = MachineLimit(models.artifact, names, workloads, settings.threads)
        comparison = compare(
            engines(models, settings.threads),
            workloads,
            settings.plan,
            reference=_REFERENCE,
            least_cosine=LEAST_COSINE,
            limits=limit.engines,
            progress=status.update,
        )
    return Measured(comparison, limit.of(comparison), models.peers)


def _print(task: str, measured: Measured) -> None:
    rounds = measured.comparison.plan.rounds
    title = f"{task}, token ids to logits: median of {rounds} rounds (25 %-75 %)"
    report.print_comparison(measured.comparison, title)
    console = command_line.output()
    console.print(machine_limit.table(measured.limits))
    for name, reason in measured.peers.skipped.items():
        console.print(f"{name} was left out: {reason}", markup=False)


def _to_json(measured: Measured) -> dict[str, Any]:
    return {
        **report.measured(measured.comparison),
        "machine_limit": machine_limit.to_json(measured.limits),
        "left_out": measured.peers.skipped,
    }


def _tasks(task: str, checkpoint: Path | None) -> list[str]:
    if task != BOTH and task not in TASKS:
        raise InputError(f"--task must be {', '.join(TASKS)} or {BOTH}, found {task!r}")
    if task == BOTH and checkpoint is not None:
        raise InputError(f"a checkpoint is for one task: add --task {' or --task '.join(TASKS)}")
    return list(TASKS) if task == BOTH else [task]


def main(
    task: str = typer.Option(BOTH, help=f"{', '.join(TASKS)} or {BOTH}."),
    checkpoint: Path | None = typer.Option(
        None, help="A checkpoint of one task; random weights of DistilRoBERTa's shape without."
    ),
    shapes: str = typer.Option(
        "16,128,8x128", help="Tokens of a text, or texts x tokens, with commas between."
    ),
    variants: str = typer.Option(
        ",".join(layout.VARIANTS), help="Our variants, with commas between."
    ),
    peers_folder: Path | None = typer.Option(
        None, "--peers", help="The environment of OpenVINO and CTranslate2; left out without."
    ),
    rounds: int = typer.Option(Plan.rounds, help="How many rounds are timed."),
    calls: int = typer.Option(Plan.calls, help="Timed calls in a round."),
    warmup: int = typer.Option(Plan.warmup, help="Calls before them that are not timed."),
    seed: int = typer.Option(Plan.seed, help="Of the order of the engines in each round."),
    threads: int | None = typer.Option(
        None, help="Threads of each engine; by default the CPUs this process may use."
    ),
    json_file: Path | None = typer.Option(None, "--json", help="Also write everything here."),
) -> None:
    """Compare every variant with optimum, OpenVINO and CTranslate2, and the machine's limit."""
    if json_file is not None and not json_file.parent.is_dir():  # known before the long run
        raise InputError(f"--json names a file in {json_file.parent}, which is no folder")
    settings = Settings(
        shapes=command_line.shapes(shapes, "--shapes"),
        plan=Plan(rounds=rounds, warmup=warmup, calls=calls, seed=seed),
        threads=command_line.threads(threads),
        variants=option_rules.check([name.strip() for name in variants.split(",")], Options()),
        interpreter=None if peers_folder is None else peer_environment.interpreter(peers_folder),
    )
    here = machine.describe(_PACKAGES)
    done = {}
    for name in _tasks(task, checkpoint):
        with tempfile.TemporaryDirectory() as folder:
            done[name] = measure(make(name, checkpoint, Path(folder), settings), settings)
    packages = [measured.peers.packages for measured in done.values()]
    here = replace(here, packages={**here.packages, **packages[0]})
    weights = "random weights of DistilRoBERTa's shape" if checkpoint is None else checkpoint.name
    command = command_line.exact(MODULE)
    schemes = {
        _PER_TENSOR: per_tensor.SCHEME,
        "optimum INT8": optimum_export.INT8_SCHEME,
        "OpenVINO INT8": peers.OPENVINO_SCHEME,
        "CTranslate2 INT8": peers.CTRANSLATE2_SCHEME,
    }
    console = command_line.output()
    console.print(f"{here}\n{settings.threads} threads for each engine; {weights}", markup=False)
    for name, scheme in schemes.items():
        console.print(f"{name}: {scheme}", markup=False)
    console.print(command, markup=False)
    for name, measured in done.items():
        _print(name, measured)
    if json_file is not None:
        document = {
            "command": command,
            "machine": asdict(here),
            "threads": settings.threads,
            "weights": weights,
            "schemes": schemes,
            "tasks": {name: _to_json(measured) for name, measured in done.items()},
        }
        json_file.write_text(json.dumps(document, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    command_line.run(main)
