"""The sentence on top is that of the benchmark that answers the first question."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distilroberta.bench.report.results import Run, read
from distilroberta.bench.report.verdict import NO_VERDICT, verdict

Document = dict[str, Any]
Reader = Callable[..., Run]


@pytest.fixture
def run(write: Callable[..., Path]) -> Reader:
    return lambda *content: read(write(*content))


def changed(document: Document, **fields: Any) -> Document:
    return {**json.loads(json.dumps(document)), **fields}


def test_the_claim_comes_first(run: Reader, documents: dict[str, Document]) -> None:
    order = ["claim", "peers", "latency", "cold-start", "gpu"]
    runs = [run(documents[name]) for name in reversed(order)]
    for name in order:
        assert verdict(runs) == documents[name]["verdict"].rstrip(".") + "."
        runs.pop()
    assert verdict(runs) == NO_VERDICT


def test_several_claims_are_told_apart(run: Reader, documents: dict[str, Document]) -> None:
    fp32 = changed(documents["claim"], verdict="Twice as fast.")
    int8 = changed(documents["claim"], verdict="Not twice as fast")
    same = [run(fp32), run(int8, "other.json")]
    assert verdict(same) == "claim.json: Twice as fast; other.json: Not twice as fast."
    for comparison in int8["comparisons"]:
        comparison["precision"] = "int8"
    other = [run(fp32), run(int8, "other.json")]
    assert verdict(other) == "fp32: Twice as fast; int8: Not twice as fast."


def test_several_artifacts_are_told_apart(run: Reader, documents: dict[str, Document]) -> None:
    one = documents["latency"]
    other = changed(one, artifact={**one["artifact"], "name": "ner"}, verdict="int8 is no faster")
    assert verdict([run(one), run(other, "other.json")]) == (
        f"sst2: {one['verdict']}; ner: int8 is no faster."
    )


def test_a_run_that_came_to_no_verdict(run: Reader, documents: dict[str, Document]) -> None:
    interrupted = run(changed(documents["claim"], verdict=None))
    assert verdict([interrupted]) == NO_VERDICT
    latency = run(documents["latency"])
    assert verdict([interrupted, latency]) == verdict([latency])


def test_benchmarks_that_are_not_drawn(run: Reader, documents: dict[str, Document]) -> None:
    others = run(changed(documents["cold-start"], benchmark="throughput", verdict="It is enough."))
    assert verdict([others]) == "It is enough."
    latency = run(documents["latency"])
    assert verdict([others, latency]) == verdict([latency])
