"""The demo: what it shows, and that it says at once what it can't show."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from distilroberta.runtime.pipelines import PIPELINES

DEMO = Path(__file__).parents[2] / "examples" / "demo.py"

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the script defines, run in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return runpy.run_path(str(DEMO))


def test_every_pipeline_has_sentences(demo: dict[str, Any]) -> None:
    assert set(demo["SENTENCES"]) == set(PIPELINES)


@pytest.mark.parametrize("name", ["tagger", "answerer"])
def test_task_without_a_pipeline_is_refused_before_the_build(
    request: pytest.FixtureRequest,
    demo: dict[str, Any],
    name: str,
    capsys: Capture,
    tmp_path: Path,
) -> None:
    with pytest.raises(SystemExit) as ended:
        demo["demo"](str(request.getfixturevalue(name)))
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "and pipelines are there for fill-mask and text-classification only" in said
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_every_variant_answers(
    demo: dict[str, Any], classifier: Path, capsys: Capture, tmp_path: Path
) -> None:
    demo["demo"](str(classifier))
    shown = capsys.readouterr().out
    for variant in ("PyTorch", "fp32", "fp16", "int8"):
        assert variant in shown
    assert (tmp_path / "build" / "demo" / classifier.name / "manifest.json").is_file()
