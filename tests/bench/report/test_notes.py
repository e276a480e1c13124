"""What makes figures less sure stands above them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distilroberta.bench.report.contents import make
from distilroberta.bench.report.results import read

Document = dict[str, Any]
LEFT_OUT = (
    "Not measured, or not on everything: feature-extraction, usual export; reasons at the end."
)


@pytest.fixture
def noted(write: Callable[..., Path]) -> Callable[..., list[str]]:
    """Return the notes of a report of some documents."""

    def found(*contents: Document) -> list[str]:
        paths = [write(content, f"{place}.json") for place, content in enumerate(contents)]
        return list(make([read(path) for path in paths]).notes)

    return found


def changed(document: Document, **fields: Any) -> Document:
    return {**json.loads(json.dumps(document)), **fields}


def test_nothing_to_note(noted: Callable[..., list[str]], documents: dict[str, Document]) -> None:
    assert noted(changed(documents["claim"], left_out={}), documents["cold-start"]) == []


def test_a_run_that_was_interrupted_or_disturbed(
    noted: Callable[..., list[str]], documents: dict[str, Document]
) -> None:
    warning = "other processes used 0.7 of 2 CPUs while this was measured"
    document = changed(documents["claim"], complete=False, warnings=[warning])
    assert noted(document) == [
        "0.json is incomplete: the run was interrupted.",
        f"0.json: {warning}.",
        LEFT_OUT,
    ]


def test_other_machines_revisions_threads_and_versions(
    noted: Callable[..., list[str]], documents: dict[str, Document]
) -> None:
    first = documents["claim"]
    packages = {**first["machine"]["packages"], "onnxruntime": "1.30.0"}
    machine = {**first["machine"], "cpus": 8, "packages": packages}
    second = changed(first, machine=machine, revision="a1b2c3d+changes", threads=8)
    found = noted(first, second)
    assert found == [
        "These results come from 2 different machines: compare figures only inside one results "
        "file.",
        "These results were measured with different numbers of threads.",
        "These results come from several revisions: 5b3c6b2 and a1b2c3d+changes.",
        "These results were measured with several versions of onnxruntime 1.31.1 and 1.30.0.",
        "Measured with changes that are not in revision a1b2c3d: 1.json.",
        LEFT_OUT,
    ]


def test_cells_with_a_warning(
    noted: Callable[..., list[str]], documents: dict[str, Document]
) -> None:
    document = changed(documents["claim"])
    document["comparisons"][0]["cells"][0]["warning"] = "the spread is wider than the difference"
    document["comparisons"][1]["cells"][3].update(ratio=None, verdict="not measured")
    assert noted(document) == [
        "0.json: 1 of 16 cells carries a warning, given below their map.",
        "0.json: 1 of 16 cells was not measured, for reasons given below their map.",
        LEFT_OUT,
    ]


def test_ratios_with_a_warning(
    noted: Callable[..., list[str]], documents: dict[str, Document]
) -> None:
    document = changed(documents["latency"], left_out={})
    document["ratios"][0]["warning"] = "the interval is wider than the difference"
    # It says by itself that it shows nothing.
    document["ratios"][1].update(verdict="no difference", warning="the interval is wider")
    assert noted(document) == ["0.json: 1 of 4 ratios carries a warning, marked ? in their table."]
    document["ratios"][2].update(verdict="unclear", warning="3 rounds are too few")
    assert noted(document) == [
        "0.json: 2 of 4 ratios carry a warning, marked ? in their table.",
        "0.json: 1 of 4 ratios are of fewer than 5 rounds, too few to show a difference.",
    ]


def test_engines_that_were_not_timed(
    noted: Callable[..., list[str]], documents: dict[str, Document]
) -> None:
    assert noted(documents["claim"]) == [LEFT_OUT]
    assert noted(documents["peers"]) == [
        "Not measured, or not on everything: torch.compile, OpenVINO BF16 and OpenVINO FP16; "
        "reasons at the end."
    ]


def test_a_benchmark_without_figures(
    noted: Callable[..., list[str]], documents: dict[str, Document]
) -> None:
    overhead, memory = (
        changed(documents["cold-start"], benchmark=name) for name in ("overhead", "memory")
    )
    assert noted(overhead) == ["No figure here is of 0.json: see how it was measured."]
    both = "No figure here is of 0.json and 1.json: see how they were measured."
    assert both in noted(overhead, memory)
