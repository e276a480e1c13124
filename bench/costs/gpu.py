"""The latency of an artifact's variants on a GPU, beside the CPU's.

    distilroberta bench gpu [--artifact FOLDER] [--shapes 16,128,8x128,32x128]

Sessions of one process, from token ids to logits on the host: INT8 on the CPU, FP32 and FP16 on
CUDA, both with bound arrays too, FP16 on TensorRT. A session that does not start is named with its
reason and left out. Rounds go from session to session in an order drawn anew for each; a round is
some warm-up calls and the median of some timed ones; the first round is thrown away. Shown are
medians of the rounds and quartiles, in milliseconds. Engines of TensorRT are built in the process
and kept nowhere. The verdict is of the session on the GPU that was fastest, picked after the fact,
beside INT8 on the CPU: for one text of about 128 tokens, and for the most tokens at once; with a
bootstrap interval of 95 % over the rounds.

Without an artifact, random weights of DistilRoBERTa's shape are measured, for text-classification:
see `checkpoints`. The exit code does not depend on what was measured; it is 1 where no GPU started.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import typer
from rich.table import Table

from distilroberta.bench.engines.sessions import arrays
from distilroberta.bench.errors import BenchError
from distilroberta.bench.harness import (
    command_line,
    machine,
    ratio_interval,
    results_file,
    tables,
)
from distilroberta.bench.harness.interleave import Interleaved, Plan, Samples, Spread
from distilroberta.bench.harness.ratio_interval import Ratio
from distilroberta.bench.harness.recorded import recorded
from distilroberta.bench.harness.results_file import ResultsFile
from distilroberta.bench.harness.suite import Comparison, EngineResult, EngineSpec
from distilroberta.bench.harness.timing import time_calls
from distilroberta.bench.harness.workload import Workload
from distilroberta.bench.latency import verdict as latency_verdict
from distilroberta.bench.models import subject, texts
from distilroberta.runtime import Artifact, CpuOptions, CudaOptions, ProviderError, TensorRTOptions
from distilroberta.runtime.command_line import messages
from distilroberta.runtime.execution import gpu
from distilroberta.runtime.execution.gpu import Gpu
from distilroberta.runtime.execution.ort import onnxruntime
from distilroberta.runtime.execution.provider_options import ProviderOptions
from distilroberta.runtime.execution.session import Session

NAME = "gpu"
_TASK = "text-classification"
_VARIANTS = ("fp32", "fp16", "int8")
_CPU = "cpu int8"
_SETUPS: dict[str, tuple[str, ProviderOptions]] = {
    _CPU: ("int8", CpuOptions()),
    "cuda fp32": ("fp32", CudaOptions()),
    "cuda fp16": ("fp16", CudaOptions()),
    "cuda fp32, bound": ("fp32", CudaOptions(io_binding=True)),
    "cuda fp16, bound": ("fp16", CudaOptions(io_binding=True)),
    "cuda fp16, graph": ("fp16", CudaOptions(cuda_graph=True)),
    "tensorrt fp16": ("fp16", TensorRTOptions(cache=False)),
}


class SessionEngine:
    """A session that can be timed on a workload's token ids."""

    def __init__(self, name: str, session: Session) -> None:
        """Take a session, and what the table calls it."""
        self.name = name
        self.session = session

    def time(self, workload: Workload, warmup: int, calls: int) -> list[int]:
        """Run one round and return nanoseconds, one for each timed call."""
        ids, mask = arrays(workload)
        return time_calls(lambda: self.session.run(ids, mask), warmup=warmup, calls=calls)

    def revive(self) -> None:
        """Do nothing: it is not a process of its own, and its errors end the run."""


@dataclass(frozen=True)
class Measured:
    """What was measured, on which GPU.

    Of `comparison` an engine is a session; what did not start is refused. By session, `differences`
    are the largest ones of a logit, `nodes` how many of the graph each provider runs.
    """

    gpu: Gpu
    comparison: Comparison
    differences: Mapping[str, float]
    nodes: Mapping[str, Mapping[str, int]]

    @property
    def device(self) -> str:
        """The GPU in words."""
        return f"{self.gpu.name}, compute capability {self.gpu.capability}"

    @property
    def left_out(self) -> dict[str, str]:
        """Why a session did not start."""
        return {one.spec.name: one.refused for one in self.comparison.engines if one.refused}

    def ratio(self, engine: str, workload: Workload) -> Ratio | None:
        """Return how many times as fast a session is as INT8 on the CPU; None without both."""
        timed = {one.spec.name: one.rounds.get(workload.name) for one in self.comparison.engines}
        fast, slow = timed.get(engine), timed.get(_CPU)
        return ratio_interval.of(slow, fast) if fast and slow else None


def started(artifact: Artifact) -> tuple[list[SessionEngine], dict[str, str]]:
    """Start what can be started; return it, and why the others could not be.

    Raises:
        BenchError: nothing starts on a GPU.
    """
    engines, reasons = [], {}
    for name, (variant, options) in _SETUPS.items():
        try:
            engines.append(SessionEngine(name, artifact.session(variant, provider=options)))
        except ProviderError as error:
            reasons[name] = str(error)
    if all(engine.session.provider == "cpu" for engine in engines):
        raise BenchError("nothing starts on a GPU: " + "; ".join(dict.fromkeys(reasons.values())))
    return engines, reasons


def differences(engines: Sequence[SessionEngine], workload: Workload) -> dict[str, float]:
    """Return the largest difference of a logit from CUDA's FP32, or the first engine's without."""
    ids, mask = arrays(workload)
    logits = {engine.name: np.asarray(engine.session.run(ids, mask)) for engine in engines}
    reference = logits.get("cuda fp32", logits[engines[0].name])
    return {name: float(np.abs(found - reference).max()) for name, found in logits.items()}


def main(
    artifact: Path | None = typer.Option(None, help="An artifact for text-classification."),
    shapes: str = typer.Option("16,128,8x128,32x128", help="Tokens, or texts x tokens."),
    rounds: int = typer.Option(Plan.rounds, help="How many rounds are timed."),
    json_path: Path | None = typer.Option(None, "--json", help="Also write everything here."),
) -> None:
    """Tell what a GPU gains over the CPU, by variant and shape."""
    results_file.check(json_path)
    sizes = command_line.shapes(shapes, "--shapes")
    plan = Plan(rounds=rounds)
    here = machine.describe()
    weights = subject.weights(artifact)
    file = ResultsFile(json_path, NAME, here, threads=here.cpus, weights=weights)

    def show(found: Measured) -> None:
        output = command_line.output()
        output.print(verdict(found), markup=False, soft_wrap=True)
        output.print(f"{found.device}, onnxruntime {onnxruntime.__version__}", markup=False)
        output.print(f"{here}\n{weights}\n{command_line.exact()}", markup=False)
        output.print(_table(found))
        for name, reason in found.left_out.items():
            output.print(f"left out: {name}: {reason}", markup=False)

    with tempfile.TemporaryDirectory() as folder:
        opened = subject.alone(_TASK, artifact, _VARIANTS, Path(folder))
        workloads = texts.of_artifact(opened, sizes)
        with (
            recorded(file, here.cpus, show, to_json) as keep,
            messages.status("starting") as status,
        ):
            engines, reasons = started(opened)
            apart = differences(engines, workloads[-1])
            nodes = {engine.name: engine.session.nodes() for engine in engines}
            device = gpu.describe(0)
            run = Interleaved(engines, workloads, plan, progress=status.update)
            for number in run.rounds():
                if number:
                    results = _results(opened, run.samples(), reasons)
                    comparison = Comparison(tuple(workloads), plan, results)
                    keep(Measured(device, comparison, apart, nodes))


def _results(
    artifact: Artifact, samples: Samples, reasons: Mapping[str, str]
) -> tuple[EngineResult, ...]:
    timed = {name for name, _ in samples}
    return tuple(
        EngineResult(
            spec=EngineSpec(name, "", {}, artifact.bytes_of(variant)),
            loaded=None,
            resident_bytes=None,
            cosine=None,
            refused=reasons.get(name),
            rounds={workload: times for (one, workload), times in samples.items() if one == name},
        )
        for name, (variant, _) in _SETUPS.items()
        if name in timed or name in reasons
    )


def verdict(found: Measured) -> str:
    """Say what the GPU gains over INT8 on the CPU, for one text and for the most tokens at once."""
    workloads = found.comparison.workloads
    most = max(workloads, key=lambda one: sum(map(len, one.ids)))
    spoken_of = dict.fromkeys(one.name for one in (latency_verdict.headline(workloads), most))
    return "; ".join(_said(found, one) for one in workloads if one.name in spoken_of)


def _said(found: Measured, workload: Workload) -> str:
    ratios = {
        name: ratio
        for name in found.nodes
        if name != _CPU and (ratio := found.ratio(name, workload))
    }
    if not ratios:
        return f"{_CPU} was not timed beside a GPU at {workload.name}: no verdict"
    best = max(ratios, key=lambda name: ratios[name].estimate)
    ratio = ratios[best]
    name = best if len(ratios) == 1 else f"{best} (the fastest of {len(ratios)} on the GPU)"
    times = f"{ratio.estimate:.2f} times ({ratio.low:.2f}-{ratio.high:.2f}) as fast"
    said = ratio_interval.verdict(ratio)
    if said == ratio_interval.FASTER:
        return f"{name} answers {times} as {_CPU} at {workload.name}"
    if said == ratio_interval.SAME:
        return f"{name} is not told apart from {_CPU} in speed at {workload.name}, {times}"
    if said == ratio_interval.SLOWER:
        return (
            f"no GPU session is faster than {_CPU} at {workload.name}: {name} comes next, {times}"
        )
    few = "1 round is" if ratio.rounds == 1 else f"{ratio.rounds} rounds are"
    return f"unclear at {workload.name}: {few} too few to tell {name} from {_CPU} in speed"


def to_json(found: Measured) -> dict[str, Any]:
    """Return every round, as what `json.dumps` takes; times are milliseconds."""
    return {
        "verdict": verdict(found),
        "device": found.device,
        "gpu": asdict(found.gpu),
        "comparison": tables.measured(found.comparison),
        "ratios": list(_ratios(found)),
        "largest_differences": dict(found.differences),
        "nodes": {name: dict(nodes) for name, nodes in found.nodes.items()},
        "left_out": found.left_out,
    }


def _ratios(found: Measured) -> Iterable[dict[str, Any]]:
    for name in found.nodes:
        for workload in found.comparison.workloads:
            ratio = None if name == _CPU else found.ratio(name, workload)
            if ratio is not None:
                yield {
                    "engine": name,
                    "baseline": _CPU,
                    "workload": workload.name,
                    "ratio": asdict(ratio),
                    "verdict": ratio_interval.verdict(ratio),
                    "warning": ratio_interval.warning(ratio),
                }


def _table(found: Measured) -> Table:
    workloads = [workload.name for workload in found.comparison.workloads]
    table = Table("ms", *workloads, "largest difference", "nodes")
    for engine in found.comparison.engines:
        name = engine.spec.name
        if engine.refused:
            continue
        times = [tables.spread(Spread.of(engine.rounds[one])) for one in workloads]
        nodes = ", ".join(f"{provider} {count}" for provider, count in found.nodes[name].items())
        table.add_row(name, *times, f"{found.differences[name]:.2g}", nodes)
    return table
