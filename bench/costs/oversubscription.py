"""Several callers at once on one machine: shared pipelines, own ones, threads, spinning.

    distilroberta bench threads [--artifact FOLDER] [--callers 1,2,4]

Each setting runs in a fresh process: callers in threads of their own, each calling again as soon as
it was answered, with one text, INT8. They share one pipeline, or each has its own. A session has as
many threads as this process may use CPUs, or one; spinning (`CpuOptions(spinning=True)`) lets the
threads wait in a loop, not asleep. With more sessions than one, these threads are more than the
CPUs; what that costs is what is measured here.

Texts per second are those of all callers together; latency is that of a call. "Times" is the texts
per second divided by those of one caller of one pipeline with its defaults, in the same round.
Rounds go over the settings in an order drawn anew for each; the first one is thrown away. Shown are
medians of the rounds and quartiles. Every pipeline must answer the text as the others do.

Without an artifact, random weights of DistilRoBERTa's shape are measured, for text-classification:
see `checkpoints`. The exit code does not depend on what was measured.
"""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import typer
from rich.table import Table

from distilroberta.bench.errors import BenchError
from distilroberta.bench.harness import command_line, fresh_process, machine, results_file, tables
from distilroberta.bench.harness.interleave import Plan, Spread, ratio
from distilroberta.bench.harness.recorded import recorded
from distilroberta.bench.harness.results_file import ResultsFile
from distilroberta.bench.harness.workload import Shape
from distilroberta.bench.models import subject, texts
from distilroberta.runtime import Artifact
from distilroberta.runtime.command_line import messages
from distilroberta.runtime.errors import InputError

NAME = "threads"
_CHILD = "distilroberta.bench.costs.parallel_calls"
_TASKS = ("text-classification", "fill-mask")
_VARIANT = "int8"
_WARMUP_SECONDS = 0.3


@dataclass(frozen=True)
class Setting:
    """How many callers there are, of how many pipelines, and what threads each pipeline has."""

    callers: int
    pipelines: int
    threads: int
    spinning: bool

    def __str__(self) -> str:
        spinning = ", spinning" if self.spinning else ""
        return f"{self.callers} callers, {self.pipelines} x {self.threads} threads{spinning}"


@dataclass(frozen=True)
class Run:
    """One process: texts per second of all callers, the latency of a call, what was answered.

    Latencies are milliseconds: the median, and what 95 % of the calls stay below.
    """

    texts_per_second: float
    median_ms: float
    slow_ms: float
    answers: list[Any]


Runner = Callable[[Setting], Run]


def settings(callers: Sequence[int], cpus: int) -> list[Setting]:
    """Return what is compared; the first is one caller of one pipeline with its defaults."""
    found = [Setting(1, 1, cpus, False)]
    for count in callers:
        for pipelines in (1, count):
            found += [
                Setting(count, pipelines, cpus, False),
                Setting(count, pipelines, cpus, True),
                Setting(count, pipelines, 1, False),
            ]
    return list(dict.fromkeys(found))


def runner(artifact: Artifact, text: str, seconds: float) -> Runner:
    """Return what runs a setting in a fresh process for so long."""
    fixed = {
        "artifact": str(artifact.path),
        "variant": _VARIANT,
        "text": text,
        "warmup": _WARMUP_SECONDS,
        "seconds": seconds,
    }

    def run(setting: Setting) -> Run:
        asked = {
            **fixed,
            "sessions": setting.pipelines,
            "callers_of_each": setting.callers // setting.pipelines,
            "threads": setting.threads,
            "spinning": setting.spinning,
        }
        (found,) = fresh_process.lines(str(setting), _CHILD, json.dumps(asked))
        return summarized(found["durations"], seconds, found["answers"])

    return run


def summarized(durations: Sequence[Sequence[float]], seconds: float, answers: Sequence[Any]) -> Run:
    """Summarize the seconds of the calls of each caller, who all called for `seconds`.

    Raises:
        BenchError: a caller was not answered once in this time.
    """
    if not all(durations):
        raise BenchError(f"a call took longer than {seconds:g} s: give more with --seconds")
    together = [duration for caller in durations for duration in caller]
    median, slow = np.percentile(together, [50, 95]) * 1000
    return Run(len(together) / seconds, float(median), float(slow), list(answers))


def measure(
    run: Runner,
    compared: Sequence[Setting],
    rounds: int,
    *,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _: None,
    keep: Callable[[dict[Setting, list[Run]]], None] = lambda _: None,
) -> dict[Setting, list[Run]]:
    """Run every setting once in every round, after one round that is left out.

    Args:
        run: runs a setting.
        compared: the settings.
        rounds: how many count.
        seed: of the order.
        progress: called with what is done.
        keep: called after each round with what is known so far.

    Raises:
        BenchError: two pipelines answered differently, or a process failed.
    """
    order = random.Random(seed)  # noqa: S311 - an order, no secret
    found: dict[Setting, list[Run]] = {setting: [] for setting in compared}
    expected: Any = None
    for number in range(rounds + 1):
        of_round = {}
        for setting in order.sample(list(compared), len(compared)):
            progress(f"round {number} of {rounds}: {setting}")
            one = run(setting)
            expected = one.answers[0] if expected is None else expected
            if any(not _alike(answer, expected) for answer in one.answers):
                raise BenchError(f"{setting}: answered {one.answers}, must be {expected}")
            of_round[setting] = one
        if number:
            found = {setting: [*runs, of_round[setting]] for setting, runs in found.items()}
            keep(found)
    return found


def _alike(answer: list[dict[str, Any]], expected: list[dict[str, Any]]) -> bool:
    # The best label or token: the last digits of a score may depend on the number of threads.
    names = ("label", "token")
    return [answer[0].get(name) for name in names] == [expected[0].get(name) for name in names]


def times(found: dict[Setting, list[Run]]) -> dict[Setting, Spread]:
    """Return the texts per second as multiples of those of the first setting, round by round."""
    rates = {setting: [run.texts_per_second for run in runs] for setting, runs in found.items()}
    first = next(iter(rates.values()))
    return {setting: ratio(rate, first) for setting, rate in rates.items()}


def _table(found: dict[Setting, list[Run]]) -> Table:
    rounds = len(next(iter(found.values())))
    table = Table(title=f"median of {rounds} rounds (25 %-75 %)")
    for name in ("callers", "pipelines", "threads of each", "spinning"):
        table.add_column(name, justify="right")
    for name in ("texts/s", "times", "median call, ms", "95 % of calls, ms"):
        table.add_column(name, justify="right")
    multiples = times(found)
    for setting, runs in found.items():
        table.add_row(
            *map(str, (setting.callers, setting.pipelines, setting.threads)),
            "yes" if setting.spinning else "no",
            tables.spread(Spread.of([run.texts_per_second for run in runs])),
            tables.spread(multiples[setting]),
            tables.spread(Spread.of([run.median_ms for run in runs])),
            tables.spread(Spread.of([run.slow_ms for run in runs])),
        )
    return table


def to_json(found: dict[Setting, list[Run]]) -> dict[str, Any]:
    """Return every run of every round, as what `json.dumps` takes."""
    multiples = times(found)
    compared = [
        {
            **asdict(setting),
            "times": asdict(multiples[setting]),
            "rounds": [
                {name: value for name, value in asdict(run).items() if name != "answers"}
                for run in runs
            ],
        }
        for setting, runs in found.items()
    ]
    return {"settings": compared}


def main(
    artifact: Path | None = typer.Option(
        None,
        help="An artifact for text-classification or fill-mask; random weights of DistilRoBERTa's "
        "shape without.",
    ),
    callers: str = typer.Option("1,2,4", help="How many call at once, with commas between."),
    tokens: int = typer.Option(64, help="Tokens of the text."),
    seconds: float = typer.Option(2.0, help="How long each setting is called in a round."),
    rounds: int = typer.Option(5, help="How many rounds are timed."),
    seed: int = typer.Option(Plan.seed, help="Of the order of the settings in each round."),
    threads: int | None = typer.Option(
        None, help="The most threads of a pipeline; by default the CPUs this process may use."
    ),
    json_path: Path | None = typer.Option(None, "--json", help="Also write everything here."),
) -> None:
    """Tell what several callers at once get of one machine: which threads and pipelines to use."""
    results_file.check(json_path)
    plan = Plan(rounds=rounds, seed=seed)
    if not seconds > 0:
        raise InputError(f"--seconds must be more than 0, found {seconds:g}")
    count = command_line.threads(threads)
    compared = settings(command_line.numbers(callers, "--callers"), count)
    here = machine.describe()
    weights = subject.weights(artifact)
    file = ResultsFile(
        json_path,
        NAME,
        here,
        threads=count,
        weights=weights,
        tokens=tokens,
        seconds_of_a_setting=seconds,
    )

    def show(found: dict[Setting, list[Run]]) -> None:
        console = command_line.output()
        console.print(f"{here}\n{weights}, one text of {tokens} tokens", markup=False)
        console.print(command_line.exact(), markup=False)
        console.print(_table(found))

    with tempfile.TemporaryDirectory() as folder:
        opened = (
            subject.alone(_TASKS[0], None, [_VARIANT], Path(folder))
            if artifact is None
            else subject.opened(artifact, _TASKS, [_VARIANT])
        )
        (workload,) = texts.of_artifact(opened, [Shape(1, tokens)])
        run = runner(opened, workload.texts[0], seconds)
        with recorded(file, count, show, to_json) as keep, messages.status("starting") as status:
            measure(run, compared, plan.rounds, seed=plan.seed, progress=status.update, keep=keep)
