"""The quantize command: progress on a terminal alone, and refusals in one line."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from distilroberta.quantize import cli, keep_worst, sensitivity
from distilroberta.quantize.calibration_text import Texts
from distilroberta.quantize.errors import QuantizationError
from distilroberta.runtime import Artifact, command_line
from distilroberta.runtime.command_line import Steps, run

MAIN = "from distilroberta.runtime.entry import main; main()"

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def artifact(classifier_artifact: Artifact, tmp_path: Path) -> Path:
    return Path(shutil.copytree(classifier_artifact.path, tmp_path / "artifact"))


def test_nothing_but_the_folder_is_written_to_a_pipe(artifact: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MAIN, "quantize", str(artifact), "--variants", "int8-static"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "FORCE_COLOR": "1", "TTY_COMPATIBLE": "1"},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{artifact}\n", "")
    assert "int8-static" in Artifact(artifact).variants


def test_progress_on_a_terminal_counts_the_calibration_texts(
    capsys: Capture, artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = io.StringIO()
    terminal = Console(file=shown, force_terminal=True, width=80)
    monkeypatch.setattr(command_line, "messages", terminal)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    told: list[tuple[str, int, int]] = []
    line = ""

    def start(self: Steps, said: str) -> None:
        nonlocal line
        line = said
        real_start(self, said)

    def advance(self: Steps, done: int, total: int) -> None:
        told.append((line, done, total))
        real_advance(self, done, total)

    real_start, real_advance = Steps.start, Steps.advance
    monkeypatch.setattr(Steps, "start", start)
    monkeypatch.setattr(Steps, "advance", advance)
    assert run(["quantize", str(artifact), "--variants", "int8-static"]) == 0
    texts = Texts().count()
    assert told == [("making int8-static", done, texts) for done in range(1, texts + 1)]
    assert "making int8-static" in shown.getvalue()
    assert capsys.readouterr().out == f"{artifact}\n"


def test_table_goes_to_stdout_where_progress_is_shown(
    capsys: Capture, artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While rich shows progress it may take stdout over, which would end up on stderr."""
    shown = io.StringIO()
    monkeypatch.setattr(command_line, "messages", Console(file=shown, force_terminal=True))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    words = ["--variants", "int8", "--force", "--sensitivity", "--bound", "1"]
    assert run(["quantize", str(artifact), *words]) == 0
    out = capsys.readouterr().out
    assert "quantized alone" in out
    assert out.endswith(f"{artifact}\n")
    assert "measuring each product" in shown.getvalue()
    assert "quantized alone" not in shown.getvalue()


def test_sensitivity_of_fp16_is_refused(capsys: Capture, artifact: Path) -> None:
    words = ["--variants", "fp16", "--force", "--sensitivity", "--bound", "1"]
    assert run(["quantize", str(artifact), *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("distilroberta: --sensitivity measures on a CPU, where onnxruntime ")
    assert err.count("\n") == 1


def test_missing_extra_is_named_with_its_remedy(
    capsys: Capture, artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "find_spec", lambda _: None)
    assert run(["quantize", str(artifact), "--variants", "int8-static"]) == 2
    said = capsys.readouterr().err
    assert "(onnx missing): pip install 'distilroberta-onnx[quantize]'" in said


def _fails(*_: object) -> None:
    raise QuantizationError("the picture could not be written")


def test_a_picture_that_fails_leaves_the_artifact_as_it_was(
    capsys: Capture, artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (artifact / "manifest.json").read_bytes()
    monkeypatch.setattr(keep_worst, "picture", _fails)
    words = ["--variants", "int8", "--force", "--sensitivity", "--bound", "1"]
    words += ["--picture", str(artifact.parent / "p.png")]
    assert run(["quantize", str(artifact), *words]) == 1
    assert "the picture could not be written" in capsys.readouterr().err
    assert (artifact / "manifest.json").read_bytes() == before


def test_a_picture_that_fails_does_not_hide_why_nothing_was_chosen(
    capsys: Capture, artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keep_worst, "picture", _fails)
    monkeypatch.setattr(keep_worst.KeepWorst, "show", _fails)
    words = ["--variants", "int8", "--force", "--sensitivity", "--bound", "1e-30"]
    words += ["--picture", str(artifact.parent / "p.png")]
    assert run(["quantize", str(artifact), *words]) == 1
    err = capsys.readouterr().err
    assert "the picture" not in err
    assert "1e-30" in err


def test_ctrl_c_is_not_hidden_by_a_table_that_fails(
    capsys: Capture, artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sensitivity, "keep", stop)
    monkeypatch.setattr(keep_worst.KeepWorst, "show", _fails)
    words = ["--variants", "int8", "--force", "--sensitivity", "--bound", "1"]
    assert run(["quantize", str(artifact), *words]) == 130
    assert "the picture" not in capsys.readouterr().err


def test_a_variant_is_scored_on_labelled_data(artifact: Path, tmp_path: Path) -> None:
    data = tmp_path / "dev.tsv"
    data.write_text("sentence\tlabel\nGood.\tgood\nBad.\tbad\nWell.\tgood\n", "utf-8")
    words = ["--variants", "int8-static", "--data", str(data), "--max-drop", "100"]
    assert run(["quantize", str(artifact), *words]) == 0
    found = Artifact(artifact).variant("int8-static").evaluation
    assert found is not None
    assert (found.data, found.metric, found.reference_name) == ("dev.tsv", "accuracy", "fp32")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--method", "mean"], "unknown method 'mean': choose from minmax, entropy, percentile"),
        (["--target", "x86"], "unknown target 'x86': choose from portable, avx2, avx512, "),
        (["--target", "avx2"], "--target is about int8, which is not among the variants"),
        (["--ranges", "no.json"], "--ranges: no.json is not a file; --save-ranges writes one"),
        (["--save-ranges", "no/r.json"], "ranges can't be saved: no/r.json lies in no folder"),
        (
            ["--ranges", __file__, "--calibration", __file__],
            "--ranges takes ranges that were saved, so int8-static reads no texts of --calibration",
        ),
        (["--max-drop", "1"], "max_drop is about labelled data (--data): add it, or leave "),
        (["--data", "no.tsv"], "no.tsv can't be read"),
        (["--calibration", "no.txt"], "calibration texts: no.txt is not a file"),
    ],
)
def test_wrong_option_is_one_line(
    capsys: Capture, classifier_artifact: Artifact, options: list[str], said: str
) -> None:
    words = ["quantize", str(classifier_artifact.path), "--variants", "int8-static", *options]
    assert run(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"distilroberta: {said}")
    assert err.count("\n") == 1
