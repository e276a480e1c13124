"""How near an engine comes to the limit of the machine it runs on.

The limit of a graph for a workload is the larger one of two times:

* its matrix products at the rate that onnxruntime's kernels reach on one layer's products with
  nothing around them: operations in 8 bits at the INT8 rate, and the others at the FP32 rate;
* reading the weights of its products once, measured on as many bytes.

`work` counts the operations and the bytes; both times are measured in the rounds the engine is
timed in, by `limit_engines` in processes of their own, and the ratio is taken inside a round. The
limit leaves out all that is not a product, and is that of these kernels: another library's can be
faster. FP16 has no kernels on most CPUs, so it is held to the FP32 rate.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

from distilroberta.bench.harness.interleave import Samples, Spread, ratio
from distilroberta.bench.harness.suite import Comparison, EngineSpec
from distilroberta.bench.harness.tables import spread
from distilroberta.bench.harness.workload import Workload
from distilroberta.bench.limit import limit_engines, work
from distilroberta.bench.limit.work import Work
from distilroberta.runtime import Artifact, layout

_ENGINES = "distilroberta.bench.limit.limit_engines"
_INT8 = "INT8 products"
_FP32 = "FP32 products"


@dataclass(frozen=True)
class Limit:
    """What a graph must do for a workload, and the limit that follows.

    `milliseconds` is the least time, `times` how many times as long the engine took.
    """

    engine: str
    workload: str
    work: Work
    milliseconds: Spread
    times: Spread


@dataclass(frozen=True)
class Limits:
    """The limits of one comparison.

    `limits` are those of all engines that were timed, in the order of the comparison. `rates` are
    the machine's, over all rounds: 10^9 operations or bytes in a second. `rounds` are the
    milliseconds they come from.
    """

    limits: tuple[Limit, ...]
    rates: Mapping[str, Spread]
    rounds: Samples


class MachineLimit:
    """The limits of an artifact's variants.

    `engines` are what has to be timed in the same rounds as the variants are.
    """

    def __init__(
        self,
        artifact: Artifact,
        names: Mapping[str, str],
        workloads: Sequence[Workload],
        threads: int,
    ) -> None:
        """Count what each variant must do.

        Args:
            artifact: holds the variants.
            names: of the engines, by variant.
            workloads: what they are timed on.
            threads: how many each engine gets.

        Raises:
            BenchError: a graph multiplies in a way that is not known.
            InputError: the artifact has no such variant.
        """
        config = json.loads(artifact.file(layout.CONFIG).read_text("utf-8"))
        sizes = {"hidden": config["hidden_size"], "feed_forward": config["intermediate_size"]}
        self._operations = limit_engines.operations(**sizes)
        self.works = {
            engine: work.count(artifact.file(artifact.variant(variant).graph), workloads)
            for variant, engine in names.items()
        }
        self._bytes = {engine: _bytes(works) for engine, works in self.works.items()}
        products = f"{_ENGINES}:Products"
        shared = {**sizes, "threads": threads}
        self.engines = [
            EngineSpec(_INT8, products, {**shared, "int8": True}, 0),
            EngineSpec(_FP32, products, {**shared, "int8": False}, 0),
            *(
                EngineSpec(
                    _read(size), f"{_ENGINES}:MemoryRead", {"size": size, "threads": threads}, 0
                )
                for size in sorted(set(self._bytes.values()))
            ),
        ]

    def of(self, comparison: Comparison) -> Limits:
        """Return the limits of a comparison that `engines` were timed in."""
        limits = [
            self._limit(engine.spec.name, workload, rounds, comparison.limits)
            for engine in comparison.engines
            for workload, rounds in engine.rounds.items()
            if engine.spec.name in self.works
        ]
        return Limits(tuple(limits), self._rates(comparison), comparison.limits)

    def _rates(self, comparison: Comparison) -> dict[str, Spread]:
        amounts = {_INT8: self._operations, _FP32: self._operations}
        amounts |= {_read(size): size for size in self._bytes.values()}
        return {
            name: Spread.of(
                [
                    amount / milliseconds / 1e6
                    for workload in comparison.workloads
                    for milliseconds in comparison.limits[name, workload.name]
                ]
            )
            for name, amount in amounts.items()
        }

    def _limit(
        self, engine: str, workload: str, rounds: Sequence[float], measured: Samples
    ) -> Limit:
        needed = self.works[engine][workload]
        names = (_INT8, _FP32, _read(self._bytes[engine]))
        least = [
            max(
                (needed.int8_operations * int8 + needed.float_operations * fp32) / self._operations,
                reading,
            )
            for int8, fp32, reading in zip(
                *(measured[name, workload] for name in names), strict=True
            )
        ]
        return Limit(engine, workload, needed, Spread.of(least), ratio(rounds, least))


def _bytes(works: Mapping[str, Work]) -> int:
    return next(iter(works.values())).weight_bytes


def _read(size: int) -> str:
    return f"reading {size:,} bytes"


def table(found: Limits) -> Table:
    """Lay out the limits, with the machine's rates in the title."""
    reached = [
        f"{name} {spread(rate)} {'GB/s' if name not in (_INT8, _FP32) else '10^9 operations/s'}"
        for name, rate in found.rates.items()
    ]
    title = "\n".join(["limit of this machine, through onnxruntime's kernels", *reached])
    laid_out = Table("engine", "workload", title=title)
    columns = ("INT8 GOP", "FP32 GOP", "MB of weights", "limit, ms", "times the limit")
    for name in columns:
        laid_out.add_column(name, justify="right")
    for limit in found.limits:
        laid_out.add_row(
            limit.engine,
            limit.workload,
            f"{limit.work.int8_operations / 1e9:.2f}",
            f"{limit.work.float_operations / 1e9:.2f}",
            f"{limit.work.weight_bytes / 1e6:.1f}",
            spread(limit.milliseconds),
            spread(limit.times),
        )
    return laid_out


def to_json(found: Limits) -> dict[str, Any]:
    """Return limits and rates, and every round, as what `json.dumps` takes."""
    return {
        "rates_10e9_per_second": {name: asdict(rate) for name, rate in found.rates.items()},
        "limits": [asdict(limit) for limit in found.limits],
        "rounds_ms": [
            {"name": name, "workload": workload, "rounds": list(rounds)}
            for (name, workload), rounds in found.rounds.items()
        ],
    }
