"""Our artifact beside other ways to run the same checkpoint.

    distilroberta bench peers [--task TASK] [--engines torch,openvino-int8] [--peers FOLDER] ...

The same texts go through PyTorch, `torch.compile`, optimum-onnx, OpenVINO, CTranslate2 and ours,
each in a process of its own, with the same number of threads and otherwise its own best settings:
see `peer_lineup` and `peer_schemes`. At the level `model` that is token ids to logits, at the level
`pipeline` texts to answers, as these libraries' users call them.

All engines of a task and level stay loaded. In fill-mask 8 texts of 512 tokens have 823 MB of
logits, so that most engines keep 1 to 2.6 GB, 14 GB together; `--engines` and `--shapes` choose
fewer.

OpenVINO and CTranslate2 need an environment of their own, which `distilroberta bench
peers-environment FOLDER` makes and `--peers FOLDER` names. What is left out is said in the output.

Before anything is timed, the answers are compared with those of PyTorch; an engine whose logits
have too low a cosine to them is named and not timed. Model answers are compared on all shapes,
those of pipelines on the small ones: scoring a whole vocabulary takes some of them minutes else.
Rounds go from engine to engine in an order drawn anew for each; a round is the median of some
calls, of one where it is long. The tables show medians of the rounds and their quartiles; how many
times as fast ours are is told by `peer_ratios`. `--limit` adds how near ours come to the limit of
the machine, see `machine_limit`.

File MB are 10^6 bytes, the sum of the model files an engine reads. MB loaded and after are the
process's resident memory once the engine is loaded and once all is measured, libraries included,
and the file where it is mapped. Load seconds include importing what the engine needs, from files
that are in the page cache; the interpreter's own start is left out.

Without a checkpoint, random weights of DistilRoBERTa's shape are measured: see `checkpoints`.
Results are written after every round, into a new file in `bench-results` unless `--json` names one;
Ctrl-C keeps what was measured. The exit code does not depend on what was measured.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from distilroberta.bench.errors import BenchError
from distilroberta.bench.harness import (
    answers,
    command_line,
    machine,
    ratio_interval,
    results_file,
    tables,
)
from distilroberta.bench.harness.interleave import Plan
from distilroberta.bench.harness.processes import Worker
from distilroberta.bench.harness.recorded import recorded
from distilroberta.bench.harness.suite import Comparison, compare
from distilroberta.bench.harness.workload import Shape, Workload
from distilroberta.bench.limit import machine_limit
from distilroberta.bench.limit.machine_limit import Limits, MachineLimit
from distilroberta.bench.models import subject, texts
from distilroberta.bench.models.checkpoints import random_checkpoint
from distilroberta.bench.peers import environment as peer_environment
from distilroberta.bench.peers import lineup as peer_lineup
from distilroberta.bench.peers import ratios as peer_ratios
from distilroberta.bench.peers import schemes as peer_schemes
from distilroberta.bench.peers.lineup import LEVELS, MODEL, PIPELINE, TASKS, Lineup, our_name
from distilroberta.bench.peers.ratios import PeerRatio
from distilroberta.export.source import resolve
from distilroberta.quantize import options as option_rules
from distilroberta.quantize.options import Options
from distilroberta.runtime import layout
from distilroberta.runtime.command_line import messages, one_line
from distilroberta.runtime.errors import InputError
from distilroberta.runtime.tasks.model_config import ModelConfig

NAME = "peers"
BOTH = "both"
# Of the logits of random weights, where nothing stands out of what quantizing adds. A graph that
# is put together wrongly is far below. OpenVINO stores its FP32 weights in FP16.
LEAST_COSINE, LEAST_COSINE_OF_FP32 = 0.95, 0.999
_FEWER_BITS = ("int8", "int4", "fp16", "bf16", "quantize", "per tensor")
_FP32 = "fp32"
_PACKAGES = ("optimum", "optimum-onnx", "transformers", "torch", "onnx")
# Where `make bench-peers` puts the environment.
_USUAL_ENVIRONMENT = Path(".venv-peers")
# What a pipeline is asked to score a whole vocabulary for: transformers decodes the text again for
# every word of it.
_CHECKED_TOKENS = 128
_WHAT = {MODEL: "token ids to logits", PIPELINE: "texts to answers"}


@dataclass(frozen=True)
class Settings:
    """What is measured, and how."""

    tasks: list[str]
    levels: list[str]
    shapes: list[Shape]
    plan: Plan
    lineup: peer_lineup.Settings
    limit: bool

    @property
    def variant(self) -> str:
        """Our variant that the verdict is about: the first that is not FP32, if there is one."""
        return next((one for one in self.lineup.variants if one != _FP32), self.lineup.variants[0])


@dataclass(frozen=True)
class Measured:
    """What was measured of one task at one level."""

    task: str
    level: str
    comparison: Comparison
    ratios: list[PeerRatio]
    limits: Limits | None


def measure(
    task: str,
    level: str,
    lineup: Lineup,
    settings: Settings,
    *,
    progress: Callable[[str], None],
    keep: Callable[[Measured], None],
) -> Measured:
    """Compare the engines of one level.

    Args:
        task: the task.
        level: `model` or `pipeline`.
        lineup: the task's engines.
        settings: what is measured.
        progress: called with what is done.
        keep: called after every round with what is known so far.

    Raises:
        WorkerError: PyTorch, or a limit, could not be run.
    """
    title = f"{task}, {level}"
    workloads = texts.of_artifact(lineup.artifact, settings.shapes)
    checked = workloads if level == MODEL else _checked(lineup, settings.shapes)
    limit = _limit(lineup, workloads, settings) if level == MODEL and settings.limit else None

    def judge(comparison: Comparison) -> Measured:
        return Measured(
            task,
            level,
            comparison,
            peer_ratios.ratios(comparison, lineup.pairs(level)),
            limit.of(comparison) if limit else None,
        )

    progress(f"{title}: asking PyTorch")
    reference = lineup.references[level]
    with Worker(reference.name, reference.engine, reference.arguments) as worker:
        right = answers.ask(worker, checked)
    comparison = compare(
        lineup.engines[level],
        workloads,
        settings.plan,
        least_cosine={spec.name: _least_cosine(spec.name) for spec in lineup.engines[level]},
        expected={spec.name: right for spec in lineup.engines[level]},
        checked=checked,
        limits=limit.engines if limit else [],
        progress=lambda step: progress(f"{title}: {step}"),
        keep=lambda found: keep(judge(found)),
    )
    return judge(comparison)


def _least_cosine(engine: str) -> float:
    has_fewer = any(word in engine.lower() for word in _FEWER_BITS)
    return LEAST_COSINE if has_fewer else LEAST_COSINE_OF_FP32


def _checked(lineup: Lineup, shapes: Sequence[Shape]) -> list[Workload]:
    small = [shape for shape in shapes if shape.rows * shape.tokens <= _CHECKED_TOKENS]
    least = Shape(1, min(_CHECKED_TOKENS, *(shape.tokens for shape in shapes)))
    return texts.of_artifact(lineup.artifact, small or [least])


def _limit(lineup: Lineup, workloads: Sequence[Workload], settings: Settings) -> MachineLimit:
    return MachineLimit(lineup.artifact, lineup.ours, workloads, settings.lineup.threads)


def verdict(found: Sequence[Measured], variant: str) -> str:
    """Say in one sentence how many times as fast one of our variants is as each other engine.

    Each is told from the least to the most over all inputs of all tasks.
    """
    parts = []
    for level in LEVELS:
        ratios = [ratio for one in found if one.level == level for ratio in one.ratios]
        spans = peer_ratios.spans(our_name(variant), ratios)
        if spans:
            listed = spans[0] if len(spans) == 1 else f"{', '.join(spans[:-1])} and {spans[-1]}"
            parts.append(f"from {_WHAT[level]} it is {listed}")
    if not parts:
        return "Nothing was measured that could be compared."
    return f"On this machine, of {our_name(variant)}: {'; '.join(parts)}."


def to_json(found: Sequence[Measured], variant: str) -> dict[str, Any]:
    """Return the verdict and what was measured, as what `json.dumps` takes."""
    return {"verdict": verdict(found, variant), "comparisons": [_comparison(one) for one in found]}


def _comparison(measured: Measured) -> dict[str, Any]:
    limits = measured.limits
    return {
        "task": measured.task,
        "level": measured.level,
        **tables.measured(measured.comparison),
        "ratios": [asdict(ratio) for ratio in measured.ratios],
        **({"machine_limit": machine_limit.to_json(limits)} if limits else {}),
    }


def _print(
    found: Sequence[Measured], left_out: Mapping[str, str], variant: str, console: Console
) -> None:
    console.print(verdict(found, variant), markup=False)
    for measured in found:
        rounds = measured.comparison.plan.rounds
        what = f"{measured.task}, {_WHAT[measured.level]}"
        title = f"{what}: median of {rounds} rounds (25 %-75 %)"
        tables.print_comparison(measured.comparison, title)
        console.print(_ratio_table(measured.ratios, measured.comparison.workloads))
        if measured.limits:
            console.print(machine_limit.table(measured.limits))
    for name, reason in left_out.items():
        console.print(f"{name} was left out: {reason}", markup=False)


def _ratio_table(ratios: Sequence[PeerRatio], workloads: Sequence[Workload]) -> Table:
    title = "of the same rounds, with 95 % intervals"
    note = "?: the interval is wider than the difference it is to show" if _unsure(ratios) else None
    table = Table("times as fast", "as", title=title, caption=note)
    for workload in workloads:
        table.add_column(workload.name, justify="right")
    for engine, baseline in dict.fromkeys((one.engine, one.baseline) for one in ratios):
        cells = {
            one.workload: _shown(one)
            for one in ratios
            if (one.engine, one.baseline) == (engine, baseline)
        }
        table.add_row(engine, baseline, *(cells.get(one.name, "-") for one in workloads))
    return table


def _unsure(ratios: Sequence[PeerRatio]) -> list[PeerRatio]:
    return [one for one in ratios if one.warning and one.verdict != ratio_interval.SAME]


def _shown(one: PeerRatio) -> str:
    doubt = " ?" if _unsure([one]) else ""
    mark = "" if one.verdict == ratio_interval.FASTER else f"\n{one.verdict}"
    return f"{one.ratio.estimate:.2f} ({one.ratio.low:.2f}-{one.ratio.high:.2f}){doubt}{mark}"


def _tasks(task: str, checkpoint: Path | None) -> list[str]:
    if task != BOTH and task not in TASKS:
        raise InputError(f"--task must be {', '.join(TASKS)} or {BOTH}, found {task!r}")
    if task == BOTH and checkpoint is not None:
        raise InputError(f"a checkpoint is for one task: add --task {' or --task '.join(TASKS)}")
    return list(TASKS) if task == BOTH else [task]


def _interpreter(named: Path | None, asked: Sequence[str]) -> Path | None:
    if named is not None:
        return peer_environment.interpreter(named)
    if _USUAL_ENVIRONMENT.is_dir():
        messages.print(
            f"OpenVINO and CTranslate2 run in {_USUAL_ENVIRONMENT}; --peers names another",
            markup=False,
        )
        return peer_environment.interpreter(_USUAL_ENVIRONMENT)
    for engine in asked:
        if peer_lineup.needs_environment(engine):
            raise InputError(f"{engine} {peer_lineup.NO_ENVIRONMENT}")
    return None


def main(
    task: str = typer.Option(BOTH, help=f"{', '.join(TASKS)} or {BOTH}."),
    checkpoint: Path | None = typer.Option(
        None,
        help="A checkpoint of one task, a folder or a hub id; random weights of DistilRoBERTa's "
        "shape without.",
    ),
    engines: str | None = typer.Option(
        None,
        help=f"Of {', '.join(peer_lineup.ENGINES)}, with commas between; all but "
        f"{peer_lineup.PER_TENSOR} without.",
    ),
    variants: str = typer.Option("fp32,int8", help="Ours, with commas between."),
    levels: str = typer.Option(
        ",".join(LEVELS), help=f"{MODEL}: {_WHAT[MODEL]}; {PIPELINE}: {_WHAT[PIPELINE]}."
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
        asked = command_line.words(engines, "--engines", peer_lineup.ENGINES)
    settings = Settings(
        tasks=_tasks(task, checkpoint),
        levels=command_line.words(levels, "--levels", LEVELS),
        shapes=command_line.shapes(shapes, "--shapes"),
        plan=Plan(rounds=rounds, warmup=warmup, calls=calls, seed=seed, seconds=seconds),
        lineup=peer_lineup.Settings(
            variants=option_rules.check([name.strip() for name in variants.split(",")], Options()),
            engines=asked or peer_lineup.DEFAULT,
            threads=command_line.threads(threads),
            interpreter=_interpreter(peers_folder, asked),
        ),
        limit=limit,
    )
    path = results_file.named(json_path, NAME)
    run = _Run(settings, checkpoint, path)
    threads = settings.lineup.threads
    with (
        recorded(run.file, threads, _Run.show, _Run.to_json, _Run.warnings) as keep,
        messages.status("starting") as status,
    ):
        run.measure(status.update, lambda: keep(run))
        keep(run)


class _Run:
    """All tasks and levels, one after the other, and what is known of them so far."""

    def __init__(self, settings: Settings, checkpoint: Path | None, path: Path) -> None:
        self._settings, self._checkpoint = settings, checkpoint
        self._here = machine.describe(_PACKAGES)
        self.done: list[Measured] = []
        self._left_out: dict[str, str] = {}
        self._schemes: dict[str, str] = {}
        weights, threads = subject.weights(checkpoint), settings.lineup.threads
        self.file = results_file.ResultsFile(
            path, NAME, self._here, threads=threads, weights=weights
        )
        self._console = command_line.output()
        command_line.introduce(self._console, self._here, threads, weights)
        self._console.print(f"every round is kept in {path}", markup=False)

    def measure(self, progress: Callable[[str], None], keep: Callable[[], None]) -> None:
        for task in self._settings.tasks:
            with tempfile.TemporaryDirectory() as folder:
                lineup = self._lineup(task, Path(folder), progress)
                for level in self._settings.levels:
                    self._measure(task, level, lineup, progress, keep)

    def _lineup(self, task: str, folder: Path, progress: Callable[[str], None]) -> Lineup:
        source = self._source(task, folder, progress)
        lineup = peer_lineup.make(
            task,
            source,
            folder,
            self._settings.lineup,
            lambda step: progress(f"{task}: {step}"),
        )
        packages = {**self._here.packages, **lineup.packages}
        self._here = replace(self._here, packages=packages)
        for name, reason in lineup.left_out.items():
            same = self._left_out.get(name, reason) == reason
            self._left_out[name if same else f"{name}, {task}"] = reason
        return lineup

    def _source(self, task: str, folder: Path, progress: Callable[[str], None]) -> Path:
        if self._checkpoint is None:
            progress(f"{task}: writing random weights")
            source = random_checkpoint(folder / "checkpoint", task=task)
        else:
            source = resolve(str(self._checkpoint)).folder
        longest = ModelConfig.read(source / layout.CONFIG).max_length
        for shape in self._settings.shapes:  # known before all that is made
            if shape.tokens > longest:
                raise InputError(f"--shapes asks for {shape}, the model takes {longest} tokens")
        return source

    def _measure(
        self,
        task: str,
        level: str,
        lineup: Lineup,
        progress: Callable[[str], None],
        keep: Callable[[], None],
    ) -> None:
        names = [spec.name for spec in lineup.engines[level]]
        self._schemes.update(peer_schemes.of(names))
        place = len(self.done)

        def so_far(measured: Measured) -> None:
            self.done[place:] = [measured]
            keep()

        try:
            so_far(measure(task, level, lineup, self._settings, progress=progress, keep=so_far))
        except BenchError as error:  # the others may still be measured
            self._left_out[f"{task}, {level}"] = one_line(error)

    def warnings(self) -> list[str]:
        told = [
            f"{one.task}, {one.level}: {warning}"
            for one in self.done
            for warning in one.comparison.warnings
        ]
        return [*told, *ratio_interval.few_rounds(self._settings.plan.rounds)]

    def to_json(self) -> dict[str, Any]:
        return {
            "machine": asdict(self._here),
            **to_json(self.done, self._settings.variant),
            "schemes": self._schemes,
            "left_out": self._left_out,
        }

    def show(self) -> None:
        _print(self.done, self._left_out, self._settings.variant, self._console)
        for name, scheme in self._schemes.items():
            self._console.print(f"{name}: {scheme}", markup=False)
