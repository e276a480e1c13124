"""`info --provider` says how an artifact runs here."""

from __future__ import annotations

import json

import pytest

from distilroberta.runtime import Artifact
from distilroberta.runtime.command_line import run

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize(("words", "variant"), [([], "int8"), (["--variant", "fp32"], "fp32")])
def test_on_the_cpu(
    mini_artifact: Artifact, capfd: Capture, words: list[str], variant: str
) -> None:
    session = mini_artifact.session(variant, provider="cpu")
    command = ["info", str(mini_artifact.path), "--provider", "cpu", *words]
    assert run(command) == 0
    nodes = session.nodes()["cpu"]
    lines = [line.split(maxsplit=1) for line in capfd.readouterr().out.splitlines()]
    assert dict(lines) == {
        "variant": variant,
        "provider": "cpu",
        "threads": str(session.threads),
        "nodes": f"{nodes} on cpu",
    }
    assert run([*command, "--json"]) == 0
    out, err = capfd.readouterr()
    assert json.loads(out) == {
        "variant": variant,
        "provider": "cpu",
        "threads": session.threads,
        "nodes": {"cpu": nodes},
    }
    assert err == ""
