from __future__ import annotations

import json

import pytest
from rich.console import Console

from distilroberta.bench.harness.interleave import Plan, Spread
from distilroberta.bench.harness.suite import Comparison, EngineResult, EngineSpec
from distilroberta.bench.harness.worker import Loaded
from distilroberta.bench.harness.workload import Shape, Workload
from distilroberta.bench.limit import limit_engines, machine_limit
from distilroberta.bench.limit.machine_limit import MachineLimit
from distilroberta.bench.limit.work import Work
from distilroberta.bench.models.texts import of_artifact
from distilroberta.runtime import Artifact

NAMES = {"fp32": "ours fp32", "int8": "ours int8"}


@pytest.fixture
def one(mini_artifact: Artifact) -> Workload:
    (workload,) = of_artifact(mini_artifact, [Shape(1, 12)])
    return workload


@pytest.fixture
def limit(mini_artifact: Artifact, one: Workload) -> MachineLimit:
    return MachineLimit(mini_artifact, NAMES, [one], 1)


def comparison(one: Workload, limit: MachineLimit, reading: list[float]) -> Comparison:
    """Two rounds: `ours int8` took 6 and 8 ms, and a peer 1 ms."""
    rounds = {"ours int8": [6.0, 8.0], "OpenVINO INT8": [1.0, 1.0]}
    engines = [
        EngineResult(
            EngineSpec(name, "m:c", {}, 1), Loaded(1, None), None, 1.0, None, {one.name: taken}
        )
        for name, taken in rounds.items()
    ]
    refused = EngineSpec("ours fp32", "m:c", {}, 1)
    engines.append(EngineResult(refused, Loaded(1, None), None, None, "differs", {}))
    limits = {("INT8 products", one.name): [2.0, 4.0], ("FP32 products", one.name): [8.0, 16.0]}
    limits |= {(spec.name, one.name): reading for spec in limit.engines if "reading" in spec.name}
    return Comparison((one,), Plan(rounds=2), tuple(engines), limits)


def test_a_graph_that_multiplies_much(one: Workload, limit: MachineLimit) -> None:
    found = limit.of(comparison(one, limit, [0.0001, 0.0001]))
    work = limit.works["ours int8"][one.name]
    layer = operations(limit)
    first = (work.int8_operations * 2 + work.float_operations * 8) / layer
    (only,) = found.limits  # the peer's graph is not known, and the other one was not timed
    assert (only.engine, only.workload, only.work) == ("ours int8", one.name, work)
    assert only.milliseconds == Spread.of([first, 2 * first])
    assert only.times == Spread.of([6 / first, 8 / (2 * first)])
    assert found.rates["INT8 products"] == Spread.of([layer / 2e6, layer / 4e6])


def test_a_graph_that_reads_much(one: Workload, limit: MachineLimit) -> None:
    found = limit.of(comparison(one, limit, [3.0, 5.0]))
    assert found.limits[0].milliseconds == Spread.of([3, 5])
    assert found.limits[0].times == Spread.of([2, 1.6])


def operations(limit: MachineLimit) -> int:
    arguments = limit.engines[0].arguments
    return limit_engines.operations(arguments["hidden"], arguments["feed_forward"])


def test_the_engines_that_are_timed(limit: MachineLimit, mini_artifact: Artifact) -> None:
    products, reading = limit.engines[:2], limit.engines[2:]
    assert [spec.arguments["int8"] for spec in products] == [True, False]
    config = json.loads((mini_artifact.path / "config.json").read_text("utf-8"))
    assert {spec.arguments["hidden"] for spec in products} == {config["hidden_size"]}
    sizes = [next(iter(works.values())).weight_bytes for works in limit.works.values()]
    assert [spec.arguments["size"] for spec in reading] == sorted(sizes)
    assert len({spec.name for spec in limit.engines}) == 4


def test_the_table_and_json(one: Workload, limit: MachineLimit) -> None:
    found = limit.of(comparison(one, limit, [3.0, 5.0]))
    console = Console(width=150)
    with console.capture() as capture:
        console.print(machine_limit.table(found))
    printed = capture.get()
    assert "INT8 products" in printed
    assert "4.00 (3.50-4.50)" in printed
    document = json.loads(json.dumps(machine_limit.to_json(found)))
    assert Work(**document["limits"][0]["work"]) == limit.works["ours int8"][one.name]
    assert {"name": "INT8 products", "workload": one.name, "rounds": [2, 4]} in document[
        "rounds_ms"
    ]
