from __future__ import annotations

import json
from pathlib import Path

import pytest

from distilroberta.bench import quantizing
from distilroberta.bench.command_line import run
from distilroberta.bench.process_cost import ProcessCost
from distilroberta.bench.quantizing import Measured
from distilroberta.runtime import Artifact


def command(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Run the command and return its exit code."""
    monkeypatch.setattr("sys.argv", ["quantizing", *words])
    with pytest.raises(SystemExit) as caught:
        run(quantizing.main)
    return int(caught.value.code or 0)


def test_one_run_of_the_mini_checkpoint(
    tmp_path: Path,
    mini: Path,
    mini_artifact: Artifact,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    written = tmp_path / "measured.json"
    words = ("--checkpoint", str(mini), "--variants", "int8,int8-static", "--json", str(written))
    assert command(monkeypatch, *words) == 0
    document = json.loads(written.read_text("utf-8"))
    assert document["weights"] == mini.name
    assert list(document["variants"]) == ["int8-static", "int8"]
    assert document["variants"]["int8"]["file_bytes"] == mini_artifact.bytes_of("int8")
    for one in document["variants"].values():
        assert one["cost"]["seconds"] > 0
        assert one["cost"]["cpu_seconds"] > 0
        assert one["cost"]["peak_bytes"] > mini_artifact.bytes_of("fp32")
    printed = capsys.readouterr().out
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
def test_words_that_are_wrong(
    words: list[str],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command(monkeypatch, *words) == 2
    assert says in " ".join(capsys.readouterr().err.split())


def test_what_is_above_a_bound_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = {
        "fp16": Measured(ProcessCost(60, 200, 1000), 7),
        "int8": Measured(ProcessCost(61, 61, 1000), 7),
        "int4": Measured(ProcessCost(1, 1, 3_000_000_001), 7),
    }
    monkeypatch.setattr(quantizing, "measure", lambda *_: found)
    assert command(monkeypatch) == 0
    assert "a variant: above: int8, int4" in capsys.readouterr().out
