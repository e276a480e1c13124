"""The demo: what it shows of every kind of checkpoint."""

from __future__ import annotations

import json
import runpy
import shutil
from pathlib import Path
from typing import Any

import pytest

from distilroberta.runtime import layout

DEMO = Path(__file__).parents[2] / "examples" / "demo.py"

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the script defines, run in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return runpy.run_path(str(DEMO))


def test_every_task_has_inputs(demo: dict[str, Any]) -> None:
    assert set(demo["INPUTS"]) == set(layout.TASKS)


def test_checkpoint_for_no_task_is_refused(
    demo: dict[str, Any], mini: Path, capsys: Capture, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(mini, tmp_path / "checkpoint"))
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config["architectures"] = ["RobertaForCausalLM"]
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    with pytest.raises(SystemExit) as ended:
        demo["demo"](str(folder))
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "checkpoint is a RobertaForCausalLM" in said
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize(
    ("name", "shown_for_it"),
    [
        ("classifier", "(0."),
        ("tagger", "--aggregation-strategy simple"),
        ("answerer", '--question "Where did Marie Curie work?"'),
        ("embedder", "x 64:"),
    ],
)
def test_every_variant_answers(
    request: pytest.FixtureRequest,
    demo: dict[str, Any],
    name: str,
    shown_for_it: str,
    capsys: Capture,
    tmp_path: Path,
) -> None:
    checkpoint: Path = request.getfixturevalue(name)
    demo["demo"](str(checkpoint))
    shown = capsys.readouterr().out
    for variant in ("PyTorch", "fp32", "fp16", "int8", shown_for_it):
        assert variant in shown
    assert (tmp_path / "build" / "demo" / checkpoint.name / "manifest.json").is_file()
