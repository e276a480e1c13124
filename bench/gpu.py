"""The latency of an artifact's variants on a GPU, beside the CPU's.

    python -m distilroberta.bench.gpu [--artifact FOLDER] [--shapes 16,128,8x128,32x128]

Sessions of one process, from token ids to logits on the host: INT8 on the CPU, FP32 and FP16 on
CUDA, both with bound arrays too, FP16 on TensorRT. A session that does not start is named with its
reason and left out. Rounds go from session to session in an order drawn anew for each; a round is
some warm-up calls and the median of some timed ones; the first round is thrown away. Shown are
medians of the rounds and quartiles, in milliseconds. Engines of TensorRT are built in the process
and kept nowhere.

Without an artifact, random weights of DistilRoBERTa's shape are measured, for text-classification:
see `checkpoints`. The exit code does not depend on what was measured; it is 1 where no GPU started.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import typer
from rich.table import Table

from distilroberta.bench import command_line, report, subject, texts
from distilroberta.bench.engines import arrays
from distilroberta.bench.errors import BenchError
from distilroberta.bench.interleave import Plan, Spread, measure
from distilroberta.bench.timing import time_calls
from distilroberta.bench.workload import Workload
from distilroberta.runtime import Artifact, CpuOptions, CudaOptions, ProviderError, TensorRTOptions
from distilroberta.runtime.command_line import messages
from distilroberta.runtime.execution import gpu
from distilroberta.runtime.execution.ort import onnxruntime
from distilroberta.runtime.execution.provider_options import ProviderOptions
from distilroberta.runtime.execution.session import Session

MODULE = "distilroberta.bench.gpu"
_TASK = "text-classification"
_VARIANTS = ("fp32", "fp16", "int8")
_SETUPS: dict[str, tuple[str, ProviderOptions]] = {
    "cpu int8": ("int8", CpuOptions()),
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
    rounds: int = typer.Option(15, help="Timed rounds."),
) -> None:
    """Measure an artifact on a GPU beside the CPU."""
    sizes = command_line.shapes(shapes, "--shapes")
    plan = Plan(rounds=rounds)
    with tempfile.TemporaryDirectory() as folder:
        found = subject.alone(_TASK, artifact, _VARIANTS, Path(folder))
        workloads = texts.of_artifact(found, sizes)
        with messages.status("starting") as status:
            engines, reasons = started(found)
            apart = differences(engines, workloads[-1])
            samples = measure(engines, workloads, plan, status.update)
        output = command_line.output()
        output.print(f"{_device()}, onnxruntime {onnxruntime.__version__}", markup=False)
        output.print(subject.weights(artifact), markup=False)
        output.print(command_line.exact(MODULE), markup=False)
        table = Table("ms", *map(str, sizes), "largest difference", "nodes")
        for engine in engines:
            times = [report.spread(Spread.of(samples[engine.name, one.name])) for one in workloads]
            nodes = ", ".join(f"{name} {count}" for name, count in engine.session.nodes().items())
            table.add_row(engine.name, *times, f"{apart[engine.name]:.2g}", nodes)
        output.print(table)
        for name, reason in reasons.items():
            output.print(f"left out: {name}: {reason}", markup=False)


def _device() -> str:
    found = gpu.describe(0)
    return f"{found.name}, compute capability {found.capability}"


if __name__ == "__main__":
    command_line.run(main)
