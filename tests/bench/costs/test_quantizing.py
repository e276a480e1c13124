from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distilroberta.bench.costs import quantizing
from distilroberta.bench.costs.quantizing import Measured
from distilroberta.bench.harness.process_cost import ProcessCost
from distilroberta.runtime import Artifact

# As the fixture gives it: words to the exit code, standard output and standard error.
Bench = Callable[..., tuple[int, str, str]]


def test_one_run_of_the_mini_checkpoint(
    tmp_path: Path, mini: Path, mini_artifact: Artifact, bench: Bench
) -> None:
    written = tmp_path / "measured.json"
    words = ("--checkpoint", str(mini), "--variants", "int8,int8-static", "--json", str(written))
    code, printed, _ = bench("quantizing", *words)
    assert code == 0
    document = json.loads(written.read_text("utf-8"))
    assert document["weights"] == mini.name
    assert list(document["variants"]) == ["int8-static", "int8"]
    assert document["variants"]["int8"]["file_bytes"] == mini_artifact.bytes_of("int8")
    for one in document["variants"].values():
        assert one["cost"]["seconds"] > 0
        assert one["cost"]["cpu_seconds"] > 0
        assert one["cost"]["peak_bytes"] > mini_artifact.bytes_of("fp32")
    assert "peak GB" in printed
    assert "bounds of 60 s and 3 GB for a variant: " in printed


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--variants", "int9"], "unknown variant 'int9': choose from fp32"),
        (["--variants", "fp32,int8"], "fp32 is what the others are made from; leave it out"),
        (["--json", "nowhere/measured.json"], "--json names a file in nowhere, which is no folder"),
    ],
)
def test_words_that_are_wrong(words: list[str], says: str, bench: Bench) -> None:
    code, _, said = bench("quantizing", *words)
    assert code == 2
    assert says in said


def test_what_is_above_a_bound_is_named(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {
        "fp16": Measured(ProcessCost(60, 200, 1000), 7),
        "int8": Measured(ProcessCost(61, 61, 1000), 7),
        "int4": Measured(ProcessCost(1, 1, 3_000_000_001), 7),
    }
    monkeypatch.setattr(quantizing, "measure", lambda *given: given[-1](found))
    assert "a variant: above: int8, int4" in bench("quantizing")[1]


def test_an_interrupted_run_shows_and_keeps_its_variants(
    tmp_path: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure(*given: Any) -> None:
        given[-1]({"fp16": Measured(ProcessCost(60, 200, 1000), 7)})
        raise KeyboardInterrupt

    monkeypatch.setattr(quantizing, "measure", measure)
    written = tmp_path / "measured.json"
    code, printed, _ = bench("quantizing", "--json", str(written))
    assert code == 130
    assert "stopped before the end" in printed
    document = json.loads(written.read_text("utf-8"))
    assert document["complete"] is False
    assert list(document["variants"]) == ["fp16"]
