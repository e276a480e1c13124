"""The commands print what Python returns, and every error takes one line."""

from __future__ import annotations

import io
import json
import logging
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from distilroberta.runtime import Artifact, command_line, pipeline
from distilroberta.runtime.command_line import run

Capture = pytest.CaptureFixture[str]
Editor = Callable[..., None]

TEXT = "Paris is the <mask> of France."
MAIN = "from distilroberta.runtime.entry import main; main()"


@pytest.fixture
def art(mini_artifact: Artifact) -> str:
    """The fill-mask artifact's folder."""
    return str(mini_artifact.path)


@pytest.fixture
def classes(classifier_artifact: Artifact) -> str:
    """The classifier's folder."""
    return str(classifier_artifact.path)


def run_ok(capsys: Capture, *words: str) -> str:
    assert run(words) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def run_wrong(capsys: Capture, code: int, *words: str) -> str:
    assert run(words) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("distilroberta: ")
    assert err.endswith("\n")
    assert err.count("\n") == 1
    return err


def call(*words: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", MAIN, *words]
    return subprocess.run(command, capture_output=True, check=False, timeout=60, **options)


def feed(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


@pytest.mark.parametrize(
    ("words", "parameters"),
    [
        pytest.param([], {}, id="plain"),
        pytest.param(["--top-k", "2"], {"top_k": 2}, id="top k"),
        pytest.param(["--target", "Ġthe"], {"targets": ["Ġthe"]}, id="target"),
        pytest.param(
            ["--target", "Ġthe", "--target", "Ġa", "--top-k", "1"],
            {"targets": ["Ġthe", "Ġa"], "top_k": 1},
            id="targets",
        ),
    ],
)
@pytest.mark.parametrize(
    "texts",
    [[TEXT], [TEXT, "A \U0001f600 <mask> <mask>"], ["שלום <mask>"]],
    ids=["one", "two", "right to left"],
)
def test_json_is_what_python_returns(
    capsys: Capture, art: str, texts: list[str], words: list[str], parameters: dict[str, Any]
) -> None:
    out = run_ok(capsys, "predict", art, *texts, "--json", *words)
    expected = pipeline("fill-mask", art)(texts[0] if len(texts) == 1 else texts, **parameters)
    assert out == json.dumps(expected, ensure_ascii=False) + "\n"


@pytest.mark.parametrize("top_k", [[], ["--top-k", "1"], ["--top-k", "3"]], ids=["no", "1", "3"])
@pytest.mark.parametrize("pair", [None, "It rained."], ids=["text", "pair"])
@pytest.mark.parametrize("texts", [["I am glad."], ["I am glad.", ""]], ids=["one", "two"])
def test_json_of_a_classification(
    capsys: Capture, classes: str, texts: list[str], pair: str | None, top_k: list[str]
) -> None:
    words = top_k if pair is None else [*top_k, "--text-pair", pair]
    out = run_ok(capsys, "predict", classes, *texts, "--json", *words)
    items: list[Any] = [*texts]
    if pair is not None:
        items = [{"text": text, "text_pair": pair} for text in texts]
    parameters = {"top_k": int(top_k[1])} if top_k else {}
    expected = pipeline(None, classes)(items[0] if len(items) == 1 else items, **parameters)
    assert json.loads(out) == expected


@pytest.mark.parametrize("variant", ["fp32", "int8"])
def test_variant_provider_and_threads(capsys: Capture, art: str, variant: str) -> None:
    options = ["--variant", variant, "--provider", "cpu", "--threads", "1", "--json"]
    expected = pipeline(None, art, variant=variant, threads=1)(TEXT)
    assert json.loads(run_ok(capsys, "predict", art, TEXT, *options)) == expected


def test_lines_of_standard_input(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, art: str
) -> None:
    texts = [TEXT, "  <mask>  ", "The last <mask> has no line end"]
    feed(monkeypatch, "\n".join(texts))
    out = run_ok(capsys, "predict", art, "--json")
    assert json.loads(out) == pipeline(None, art)(texts)


def test_plain_answer_is_readable(capsys: Capture, art: str) -> None:
    text = "A :smile: [b]is[/b] <mask> <mask>."
    lines = run_ok(capsys, "predict", art, text, "--top-k", "2").splitlines()
    rows = pipeline(None, art)(text, top_k=2)
    assert lines[0] == text, "neither markup nor emoji codes"
    assert [line.strip() for line in lines if "mask " in line] == ["mask 1", "mask 2"]
    scores = [line.split()[0] for line in lines[1:] if line.strip()[0].isdigit()]
    assert scores == [f"{row['score']:.4f}" for mask in rows for row in mask]


def test_plain_classification(capsys: Capture, classes: str) -> None:
    lines = run_ok(capsys, "predict", classes, "I am glad.", "It rained.").splitlines()
    answers = pipeline(None, classes)(["I am glad.", "It rained."])
    assert [lines[0], lines[2]] == ["I am glad.", "It rained."]
    assert [line.split()[1] for line in lines[1::2]] == [row["label"] for row in answers]


def test_info(capsys: Capture, mini_artifact: Artifact, art: str) -> None:
    out = run_ok(capsys, "info", art)
    assert "task      fill-mask" in out
    assert all(name in out for name in mini_artifact.variants)
    assert run_ok(capsys, "info", art, "--json") == mini_artifact.manifest.to_json()


def test_info_shows_what_each_variant_was_built_for(
    capsys: Capture, broken_artifact: Path, edit_json: Editor
) -> None:
    def change(manifest: dict[str, Any]) -> None:
        manifest["variants"]["int8"]["target"] = "avx512_vnni"

    edit_json(broken_artifact, "manifest.json", change)
    rows = run_ok(capsys, "info", str(broken_artifact)).splitlines()
    cells = [[cell.strip() for cell in row.split("│")[1:3]] for row in rows if "│" in row]
    cells = [cell for cell in cells if cell[0]]  # a long scheme takes more than one line
    assert cells == [["fp32", "portable"], ["fp16", "portable"], ["int8", "avx512_vnni"]]


def test_info_shows_what_looks_like_markup(
    capsys: Capture, broken_artifact: Path, edit_json: Editor
) -> None:
    def change(manifest: dict[str, Any]) -> None:
        manifest["variants"]["fp32"]["scheme"] = "[/x]"
        manifest["licence"] = "[red]:smile:"

    edit_json(broken_artifact, "manifest.json", change)
    out = run_ok(capsys, "info", str(broken_artifact))
    assert "[/x]" in out
    assert "[red]:smile:" in out


def test_verify(capsys: Capture, mini_artifact: Artifact, art: str) -> None:
    count = len(mini_artifact.manifest.files)
    assert run_ok(capsys, "verify", art).startswith(f"{art}: {count} files and 3 variants")


def test_verify_finds_a_flipped_byte(capsys: Capture, broken_artifact: Path) -> None:
    path = broken_artifact / "onnx" / "model_fp16.onnx"
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    message = run_wrong(capsys, 2, "verify", str(broken_artifact))
    assert "model_fp16.onnx was changed" in message


def test_verify_starts_every_variant(
    capsys: Capture, broken_artifact: Path, edit_json: Editor
) -> None:
    def change(manifest: dict[str, Any]) -> None:
        manifest["variants"]["fp16"]["outputs"][0]["name"] = "scores"

    edit_json(broken_artifact, "manifest.json", change)
    assert "outputs are" in run_wrong(capsys, 2, "verify", str(broken_artifact))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{art}", "no mask"], "text 0: has no <mask>"),
        (["{art}", TEXT, "", "none"], "text 1: has no <mask>: put <mask> where"),
        (["{art}", "\udcff <mask>"], "text 0: holds a lone surrogate"),
        (["{art}", TEXT, "--top-k", "0"], "top_k must be a whole number from 1"),
        (["{art}", TEXT, "--target", ""], "targets holds no word"),
        (["{art}", TEXT, "--text-pair", "x"], "--text-pair is for text-classification; this"),
        (["{classes}", "x", "--target", "y"], "--target is for fill-mask; this artifact is for"),
        (["{art}", TEXT, "--variant", "int3"], "variant 'int3' is not in"),
        (["{art}", TEXT, "--provider", "gpu"], "unknown provider 'gpu'"),
        (["{art}", TEXT, "--threads", "0"], "threads must be a whole number"),
        (["no/such/:apple:/folder", TEXT], "no/such/:apple:/folder is not a folder"),
        (["{art}/onnx", TEXT], "is not an artifact"),
        (["line\nbreak", TEXT], "line break is not a folder"),
    ],
    ids=lambda value: None if isinstance(value, list) else value[:30],
)
@pytest.mark.filterwarnings("ignore:target '' has no token")
def test_bad_input_is_one_line(
    capsys: Capture, art: str, classes: str, words: list[str], message: str
) -> None:
    filled = [word.replace("{art}", art).replace("{classes}", classes) for word in words]
    assert message in run_wrong(capsys, 2, "predict", *filled)


def test_no_text_at_all(capsys: Capture, monkeypatch: pytest.MonkeyPatch, art: str) -> None:
    feed(monkeypatch, "")
    assert "no text: give one" in run_wrong(capsys, 2, "predict", art)


@pytest.mark.parametrize("command", ["info", "verify"])
def test_no_artifact(capsys: Capture, tmp_path: Path, command: str) -> None:
    assert "is not an artifact" in run_wrong(capsys, 2, command, str(tmp_path))


@pytest.mark.parametrize(
    "words",
    [["nonsense"], ["predict"], ["predict", "--nonsense"], ["predict", "a", "--top-k", "x"]],
    ids=["command", "no argument", "option", "no number"],
)
def test_wrong_words(capsys: Capture, words: list[str]) -> None:
    assert run(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Usage" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("words", [[], ["predict"], ["info"], ["verify"], ["build"]], ids=str)
def test_help(capsys: Capture, words: list[str]) -> None:
    assert run([*words, "--help"]) == 0
    out, err = capsys.readouterr()
    assert "Usage" in out
    assert err == ""


def test_verbose_says_what_auto_chose(capsys: Capture, art: str) -> None:
    assert run(["--verbose", "predict", art, TEXT, "--json"]) == 0
    out, err = capsys.readouterr()
    assert "chose cpu" in err
    assert json.loads(out) == pipeline(None, art)(TEXT)


LONG = "[b] " + "a long word " * 20 + "[/x]"


def test_warning_in_a_pipe_is_one_line(broken_artifact: Path, edit_json: Editor) -> None:
    foreign = "arm64" if platform.machine() in ("x86_64", "AMD64") else "avx2"

    def change(manifest: dict[str, Any]) -> None:
        manifest["variants"]["int8"]["target"] = foreign

    edit_json(broken_artifact, "manifest.json", change)
    done = call("predict", str(broken_artifact), TEXT, "--variant", "int8", "--json")
    assert done.returncode == 0
    assert done.stderr.startswith(b"distilroberta: variant int8 ")
    assert len(done.stderr) > 100
    assert done.stderr.count(b"\n") == 1
    assert b"\x1b" not in done.stderr


@pytest.mark.parametrize("level", [logging.INFO, logging.WARNING])
def test_record_is_one_line_as_it_is(capsys: Capture, art: str, level: int) -> None:
    assert run(["--verbose", "info", art]) == 0
    capsys.readouterr()
    logging.getLogger("distilroberta.x").log(level, "%s\n%s", LONG, 1)
    assert capsys.readouterr().err == f"distilroberta: {LONG} 1\n"


def wait_for(shown: io.StringIO, text: str) -> None:
    """Wait until rich, which draws ten times a second, has drawn a text; then forget it."""
    for _ in range(100):
        drawn = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", shown.getvalue())
        if text in " ".join(drawn.split()):
            shown.truncate(0)
            return
        time.sleep(0.1)
    raise AssertionError(f"{text!r} is not in {drawn!r}")


def test_steps_are_shown_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    terminal = Console(file=shown, force_terminal=True, width=80)
    monkeypatch.setattr(command_line, "messages", terminal)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with command_line.Steps() as steps:
        wait_for(shown, "starting ━")
        steps.start("reading [b]")
        wait_for(shown, "reading [b] ━")
        steps.advance(1, 2)
        wait_for(shown, "━ 1/2")
        steps.advance(2, 2)
        wait_for(shown, "━ 2/2 0:00:00")
        steps.advance(1, 2)
        wait_for(shown, "━ 1/2 -:--:--")
        assert "rich" not in type(sys.stdout).__module__, "results go where they went before"
    assert shown.getvalue().endswith("\x1b[2K"), "it takes itself away"


def test_steps_are_not_shown_in_a_pipe(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the environment says that colours are wanted."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(command_line, "messages", Console(stderr=True))
    assert command_line.messages.is_terminal
    with command_line.Steps() as steps:
        steps.start("reading")
        steps.advance(1, 2)
        steps.advance(1, 2)
    assert capsys.readouterr() == ("", "")


def test_unexpected_error_is_not_hidden(monkeypatch: pytest.MonkeyPatch, art: str) -> None:
    def fail(_: Any) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(Artifact, "verify", fail)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        run(["verify", art])


def test_installed_command(mini_artifact: Artifact, tmp_path: Path) -> None:
    copy = shutil.copytree(mini_artifact.path, tmp_path / "the model \U0001f600")
    done = call("predict", copy.name, TEXT, "--json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout) == pipeline(None, copy)(TEXT)


def test_failure_of_the_installed_command(tmp_path: Path) -> None:
    done = call("info", ".", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    ("decoding", "message"),
    [
        ("utf-8:strict", b"distilroberta: standard input is not utf-8 text"),
        ("utf-8:surrogateescape", b"distilroberta: text 1: holds a lone surrogate"),
    ],
    ids=["strict", "escaped, as in the C locale"],
)
def test_standard_input_that_is_no_text(art: str, decoding: str, message: bytes) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": decoding}
    done = call("predict", art, input=b"ok <mask>\n\xff\xfe <mask>\n", env=environment)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(message)
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["plain", "json"])
def test_reader_that_leaves(art: str, options: list[str]) -> None:
    # 40 texts of 100 answers: more than a pipe holds.
    command = [sys.executable, "-c", MAIN, "predict", art, *[TEXT] * 40, "--top-k", "100"]
    with subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert len(process.stdout.read(1)) == 1
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=60) in (0, 1)
