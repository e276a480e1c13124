"""The build command: every refusal is one line and an exit code, and leaves nothing."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distilroberta.runtime import Artifact
from distilroberta.runtime.command_line import run

Capture = pytest.CaptureFixture[str]
Edit = Callable[[Path, str, Callable[[dict[str, Any]], Any]], None]

MAIN = "from distilroberta.runtime.entry import main; main()"


def call(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", MAIN, "build", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def refused(capsys: Capture, code: int, *words: str) -> str:
    """Run a build that must fail; return the one line it says."""
    assert run(["build", *words]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("distilroberta: ")
    assert err.count("\n") == 1
    return err


def test_build_prints_the_folder_and_nothing_else(labeller: Path, tmp_path: Path) -> None:
    done = call(str(labeller), str(tmp_path / "artifact"), "--variants", "fp32,int8")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{tmp_path / 'artifact'}\n"
    assert Artifact(tmp_path / "artifact").variants == ("fp32", "int8")


def test_folder_that_is_not_there(capsys: Capture, tmp_path: Path) -> None:
    said = refused(capsys, 2, str(tmp_path / "no folder"), str(tmp_path / "artifact"))
    assert f"{tmp_path}/no folder is not a folder, nor a hub id" in said
    assert list(tmp_path.iterdir()) == []


def test_pickle_is_one_line_in_a_process_and_never_read(masker_copy: Path, tmp_path: Path) -> None:
    (masker_copy / "model.safetensors").unlink()
    (masker_copy / "pytorch_model.bin").write_bytes(pickle.dumps({}))
    done = call(str(masker_copy), str(tmp_path / "artifact"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "only pytorch_model.bin, a pickle" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "artifact").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--task", "translation"], "unknown task 'translation': choose one of fill-mask"),
        (["--task", "fill-mask"], "has no usable weights for fill-mask: lm_head.bias"),
        (["--variants", "fp32,fp8"], "unknown variant 'fp8': choose from fp32, fp16, int8"),
        (["--variants", " , "], "no variant: choose from fp32, fp16, int8"),
        (["--method", "mean"], "unknown method 'mean': choose from minmax, entropy, percentile"),
        (["--target", "x86"], "unknown target 'x86': choose from portable, avx2, avx512, "),
        (["--ranges", "no.json", "--variants", "int8-static"], "--ranges: no.json is not a file"),
    ],
    ids=[
        *("unknown task", "task of another head", "unknown variant", "no variant"),
        *("unknown method", "unknown target", "no ranges"),
    ],
)
def test_wrong_option(
    capsys: Capture, labeller: Path, tmp_path: Path, options: list[str], said: str
) -> None:
    assert said in refused(capsys, 2, str(labeller), str(tmp_path / "artifact"), *options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model_type": "bert"}, "labeller is not a RoBERTa: config.json says model_type 'bert'"),
        ({"is_decoder": True}, "labeller is a decoder"),
        (
            {"architectures": ["RobertaForMultipleChoice"]},
            "labeller is a RobertaForMultipleChoice; what ",
        ),
        ({"num_hidden_layers": 9}, "labeller has no usable weights for text-classification: "),
        ({"hidden_size": 63}, "labeller can't be loaded: The hidden size (63)"),
    ],
    ids=["bert", "decoder", "another head", "missing layers", "wrong shape"],
)
def test_checkpoint_that_can_not_be_built(
    capsys: Capture,
    labeller_copy: Path,
    tmp_path: Path,
    edit_json: Edit,
    changes: dict[str, Any],
    said: str,
) -> None:
    edit_json(labeller_copy, "config.json", lambda config: config.update(changes))
    assert said in refused(capsys, 2, str(labeller_copy), str(tmp_path / "artifact"))
    assert not (tmp_path / "artifact").exists()


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("config.json", "has no config.json: it is not a checkpoint folder"),
        ("tokenizer.json", "has no tokenizer: it needs tokenizer.json, or vocab.json and merges"),
        (
            "model.safetensors",
            "has no model.safetensors (no weights in safetensors were found there): load it",
        ),
    ],
)
def test_missing_file(
    capsys: Capture, labeller_copy: Path, tmp_path: Path, missing: str, said: str
) -> None:
    for path in {labeller_copy / missing, labeller_copy / "merges.txt"}:
        path.unlink(missing_ok=True)
    assert said in refused(capsys, 2, str(labeller_copy), str(tmp_path / "artifact"))
    assert not (tmp_path / "artifact").exists()


def test_output_that_exists_is_replaced_only_with_force(
    capsys: Capture, labeller: Path, tmp_path: Path
) -> None:
    words = [str(labeller), str(tmp_path / "artifact"), "--variants"]
    assert run(["build", *words, "fp32"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'artifact'}\n"
    assert "artifact exists: choose another" in refused(capsys, 2, *words, "fp16")
    assert Artifact(tmp_path / "artifact").variants == ("fp32",)
    assert run(["build", *words, "fp16", "--force"]) == 0
    assert Artifact(tmp_path / "artifact").variants == ("fp16",)


@pytest.mark.parametrize("source", ["[/red]", "[bold]x", "a [/] b", "%s {0} :smile:"])
def test_source_is_shown_as_it_was_given(capsys: Capture, tmp_path: Path, source: str) -> None:
    err = refused(capsys, 2, source, str(tmp_path / "artifact"))
    assert err.startswith(f"distilroberta: {source} is not a folder, nor a hub id")


def test_source_and_output_are_needed(capsys: Capture) -> None:
    assert run(["build"]) == 2
    assert "Missing argument" in capsys.readouterr().err


def test_interrupted_build_leaves_nothing(
    labeller: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distilroberta.export import onnx_export

    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(onnx_export, "export", interrupted)
    assert run(["build", str(labeller), str(tmp_path / "artifact")]) == 130
    assert list(tmp_path.iterdir()) == []


def test_missing_extra_is_named_with_its_remedy(
    capsys: Capture, labeller: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distilroberta.export import cli

    monkeypatch.setattr(cli, "find_spec", lambda name: None if name == "onnx" else object())
    said = refused(capsys, 2, str(labeller), str(tmp_path / "artifact"))
    assert "(onnx missing): pip install 'distilroberta-onnx[export]'" in said
