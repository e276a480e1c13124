"""The command `evaluate`: what it scores and prints, where PyTorch comes from, what it refuses."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from distilroberta.export import build
from distilroberta.export.evaluate import evaluate
from distilroberta.quantize.quality import evaluation
from distilroberta.runtime import Artifact, InputError, pipeline
from distilroberta.runtime.command_line import run
from distilroberta.runtime.manifest import PYTORCH

Capture = pytest.CaptureFixture[str]

# The artifact's variants and PyTorch would have threads that wait for each other.
ONE_THREAD = ("--threads", "1")
TEXTS = ["What a film!", "no", "It isn't bad at all.", "fine by me", "the end, at last", "more"]

PROBE = """\
import sys
from distilroberta.runtime.command_line import run
code = run(sys.argv[1:])
assert "distilroberta.export.evaluate" in sys.modules
print("torch" in sys.modules)
raise SystemExit(code)
"""


@pytest.fixture
def masked(tmp_path: Path) -> str:
    """Three masked sentences with their words."""
    path = tmp_path / "masked.tsv"
    path.write_text(
        "Paris is the <mask> of France.\tcapital\n"
        "The man <mask> at the stranger.\tlooked\n"
        "She went <mask> the house.\tto\n",
        "utf-8",
    )
    return str(path)


@pytest.fixture
def reviews(classifier_artifact: Artifact, tmp_path: Path) -> str:
    """Texts with the labels that FP32 gives them, but for the first one."""
    answers = pipeline(None, classifier_artifact, variant="fp32", provider="cpu", threads=1)(TEXTS)
    labels = [answer["label"] for answer in answers]
    labels[0] = "bad" if labels[0] != "bad" else "good"
    path = tmp_path / "reviews.csv"
    rows = zip(TEXTS, labels, strict=True)
    path.write_text("review,stars\n" + "".join(f'"{t}",{n}\n' for t, n in rows), "utf-8")
    return str(path)


REVIEW_COLUMNS = ("--columns", "text=review,label=stars")


def run_ok(capsys: Capture, *words: str) -> str:
    assert run(["evaluate", *words, *ONE_THREAD]) == 0
    return capsys.readouterr().out


def refused(capsys: Capture, code: int, *words: str) -> str:
    assert run(["evaluate", *words]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("distilroberta: ")
    assert err.count("\n") == 1
    return err


def rows_of(out: str) -> dict[str, list[str]]:
    """Return the cells of the table by the first one of each row."""
    lines = [line.strip("│┃ ").replace("┃", "│").split("│") for line in out.splitlines()]
    return {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in lines if cells[1:]}


def test_table_of_variants_against_pytorch(
    capsys: Capture, mini: Path, mini_artifact: Artifact, masked: str
) -> None:
    words = (str(mini_artifact.path), "--data", masked, "--checkpoint", str(mini))
    out = run_ok(capsys, *words)
    assert "masked.tsv: 3 texts, 3 masks, against PyTorch FP32" in out
    rows = rows_of(out)
    assert list(rows) == ["variant", PYTORCH, *mini_artifact.variants]
    assert rows["variant"] == [
        *("MB", "top 1", "top 5", "perplexity", "points lost", "same top", "KL, nats")
    ]
    assert rows["fp32"][0] == f"{mini_artifact.bytes_of('fp32') / 1e6:.1f}"
    assert rows["fp32"][4:6] == ["+0.00", "100.00%"]
    assert rows[PYTORCH][1:4] == rows["fp32"][1:4]
    assert float(rows["fp32"][6]) < 1e-6 < float(rows["int8"][6])


def test_hidden_states_have_no_score(
    capsys: Capture, embedder_artifact: Artifact, masked: str
) -> None:
    message = refused(capsys, 2, str(embedder_artifact.path), "--data", masked, "--no-reference")
    assert "feature-extraction can't be scored; `distilroberta info` tells how close" in message


@pytest.mark.parametrize(
    ("task", "name", "content", "metric", "rows"),
    [
        ("token-classification", "dev.conll", "It PRP B-NP\nends VBZ O\n\nNo UH B-NP\n", "f1", 3),
        (
            "question-answering",
            "dev.jsonl",
            '{"question": "Who?", "context": "Ann came. Bob left.", "answers": ["Ann"]}\n'
            '{"question": "When?", "context": "Ann came.", "answers": []}\n',
            "f1",
            4,
        ),
    ],
)
def test_other_tasks_agree_with_pytorch(
    capsys: Capture,
    make_checkpoint: Callable[..., Path],
    tmp_path: Path,
    task: str,
    name: str,
    content: str,
    metric: str,
    rows: int,
) -> None:
    labels = {"id2label": {0: "O", 1: "B-NP"}} if task == "token-classification" else {}
    checkpoint = make_checkpoint(task, num_hidden_layers=1, **labels)
    artifact = build(checkpoint, tmp_path / "artifact", variants=["fp32"])
    data = tmp_path / name
    data.write_text(content, "utf-8")
    words = (str(artifact.path), "--data", str(data), "--checkpoint", str(checkpoint))
    tree = json.loads(run_ok(capsys, *words, "--json", "-"))
    assert (tree["task"], tree["main_metric"]) == (task, metric)
    reference, fp32 = tree["scores"]
    assert fp32["metrics"] == reference["metrics"]
    assert fp32["agreement"]["rows"] == rows
    assert fp32["agreement"]["same_top"] == 1
    assert 0 < fp32["agreement"]["largest_difference"] < 1e-4


def test_json_in_a_file_and_on_standard_output(
    capsys: Capture, classifier: Path, classifier_artifact: Artifact, reviews: str, tmp_path: Path
) -> None:
    words = (str(classifier_artifact.path), "--data", reviews, *REVIEW_COLUMNS)
    words = (*words, "--checkpoint", str(classifier))
    path = tmp_path / "result.json"
    path.write_text("an older one", "utf-8")
    before = sorted(tmp_path.iterdir())
    assert "accuracy" in run_ok(capsys, *words, "--json", str(path))
    assert sorted(tmp_path.iterdir()) == before
    tree = json.loads(path.read_text("utf-8"))
    assert json.loads(run_ok(capsys, *words, "--json", "-")) == tree
    assert (tree["task"], tree["main_metric"]) == ("text-classification", "accuracy")
    assert tree["source_sha256"] == classifier_artifact.manifest.source.sha256
    assert tree["reference"] == PYTORCH
    assert set(tree["tools"]) >= {"onnxruntime", "torch", "transformers"}
    scores = {one["name"]: one for one in tree["scores"]}
    assert list(scores) == [PYTORCH, *classifier_artifact.variants]
    assert scores[PYTORCH]["metrics"]["accuracy"] == pytest.approx(5 / 6)
    assert scores["fp32"]["metrics"]["accuracy"] == pytest.approx(5 / 6)
    assert scores["fp32"]["agreement"]["rows"] == 6
    assert scores["fp32"]["agreement"]["largest_difference"] < 1e-4


def test_python_returns_what_the_command_writes(
    capsys: Capture, classifier: Path, classifier_artifact: Artifact, reviews: str
) -> None:
    words = (str(classifier_artifact.path), "--data", reviews, *REVIEW_COLUMNS)
    out = run_ok(capsys, *words, "--checkpoint", str(classifier), "--json", "-")
    result = evaluate(
        classifier_artifact,
        Path(reviews),
        columns={"text": "review", "label": "stars"},
        checkpoint=str(classifier),
        threads=1,
    )
    tree = json.loads(out)
    assert {key: tree[key] for key in result.to_json()} == json.loads(json.dumps(result.to_json()))


def test_options_reach_the_work(
    capsys: Capture, classifier_artifact: Artifact, reviews: str, tmp_path: Path
) -> None:
    lines = Path(reviews).read_text("utf-8").splitlines()[1:]
    renamed = tmp_path / "reviews.data"
    renamed.write_text("\n".join(lines), "utf-8")
    out = run_ok(
        *(capsys, str(classifier_artifact.path), "--data", str(renamed), "--format", "csv"),
        *("--task", "sentiment-analysis", "--variants", " int8,fp32", "--limit", "4"),
        *("--batch-size", "2", "--no-reference", "--json", "-"),
    )
    tree = json.loads(out)
    assert [one["name"] for one in tree["scores"]] == ["fp32", "int8"]
    assert tree["counts"]["texts"] == 4
    assert tree["batch_size"] == 2
    assert tree["scores"][0]["metrics"]["accuracy"] == 0.75


def test_without_pytorch_fp32_is_what_the_others_are_compared_with(
    capsys: Capture, mini_artifact: Artifact, masked: str
) -> None:
    words = (str(mini_artifact.path), "--data", masked, "--no-reference")
    out = run_ok(capsys, *words)
    assert "against fp32" in out
    assert rows_of(out)["fp32"][4:] == ["-", "-", "-"]
    out = run_ok(capsys, *words, "--variants", "int8")
    assert "against" not in out
    assert rows_of(out)["int8"][4:] == ["-", "-", "-"]


def test_without_pytorch_torch_is_not_loaded_and_nothing_is_said(
    mini_artifact: Artifact, masked: str
) -> None:
    command = [sys.executable, "-c", PROBE, "evaluate", str(mini_artifact.path)]
    done = subprocess.run(
        [
            *(*command, "--data", masked, "--no-reference", "--json", "-"),
            *("--variants", "fp32", *ONE_THREAD),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    out, loaded = done.stdout.rstrip("\n").rsplit("\n", 1)
    assert loaded == "False"
    assert set(json.loads(out)["tools"]) == {"distilroberta-onnx", "onnxruntime", "tokenizers"}


def test_checkpoint_is_found_by_its_name_beside(
    capsys: Capture,
    classifier: Path,
    classifier_artifact: Artifact,
    reviews: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(classifier.parent)
    words = (str(classifier_artifact.path), "--data", reviews, *REVIEW_COLUMNS)
    assert f"against {PYTORCH}" in run_ok(capsys, *words, "--limit", "2")


def test_checkpoint_that_is_not_there(
    capsys: Capture,
    mini_artifact: Artifact,
    masked: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    said = refused(capsys, 2, str(mini_artifact.path), "--data", masked)
    assert "the artifact was built from, mini, is not here: say where" in said
    assert "--checkpoint" in said
    assert "--no-reference" in said


def test_checkpoint_of_a_hub_is_asked_for_at_its_revision(
    mini_artifact: Artifact, masked: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from distilroberta.export import source
    from distilroberta.runtime import CheckpointError

    copy = Path(shutil.copytree(mini_artifact.path, tmp_path / "artifact"))
    listing = json.loads((copy / "manifest.json").read_text("utf-8"))
    listing["source"] |= {"name": "owner/model", "revision": "abc123"}
    (copy / "manifest.json").write_text(json.dumps(listing), "utf-8")
    asked = []

    def resolve(name: str) -> Any:
        asked.append(name)
        raise CheckpointError("not here")

    monkeypatch.setattr(source, "resolve", resolve)
    with pytest.raises(CheckpointError, match="not here"):
        evaluate(Artifact(copy), Path(masked))
    assert asked == ["owner/model@abc123"]


def test_another_checkpoint_is_refused(
    capsys: Capture, classifier_artifact: Artifact, labeller: Path, reviews: str
) -> None:
    words = (str(classifier_artifact.path), "--data", reviews, *REVIEW_COLUMNS)
    said = refused(capsys, 2, *words, "--checkpoint", str(labeller))
    assert f"{labeller} is not what {classifier_artifact.path} was built from" in said
    assert classifier_artifact.manifest.source.sha256 in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--data", "no.tsv"], "no.tsv can't be read: No such file"),
        (["--task", "ner"], "was built for fill-mask, not for ner"),
        (["--variants", "fp32,fp8"], "variant 'fp8' is not in"),
        (["--variants", ","], "no variant: choose from fp32"),
        (["--columns", "text"], "--columns must be as text=NAME,label=NAME, found 'text'"),
        (["--columns", "label=x"], "an example of fill-mask has no 'label'; it has text, word"),
        (["--format", "conll"], "fill-mask is not read from conll, but from tsv, csv, jsonl, parq"),
        (["--limit", "0"], "the limit must be a whole number from 1 up"),
        (["--batch-size", "0"], "batch_size must be a whole number from 1 up"),
        (["--threads", "0"], "threads must be a whole number from 1 to 1024"),
        (["--provider", "npu"], "unknown provider 'npu'"),
        (["--json", "no/folder/a.json"], "can't be written: it must be a file in a folder that is"),
    ],
)
def test_wrong_option(
    capsys: Capture, mini_artifact: Artifact, masked: str, options: list[str], said: str
) -> None:
    words = (str(mini_artifact.path), "--data", masked, "--no-reference")
    assert said in refused(capsys, 2, *words, *options)


def test_data_is_needed(capsys: Capture, mini_artifact: Artifact) -> None:
    assert run(["evaluate", str(mini_artifact.path)]) == 2
    assert "Missing option '--data'" in capsys.readouterr().err


def test_json_file_stays_as_it_was_when_the_work_fails(
    capsys: Capture,
    mini_artifact: Artifact,
    masked: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "result.json"
    path.write_text("an older one", "utf-8")

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluation, "_score", interrupted)
    words = ["evaluate", str(mini_artifact.path), "--data", masked, "--no-reference"]
    assert run([*words, "--json", str(path)]) == 130
    assert path.read_text("utf-8") == "an older one"
    assert {entry.name for entry in tmp_path.iterdir()} == {"result.json", "masked.tsv"}


@pytest.mark.parametrize(
    ("missing", "extra"), [("torch", "export,evaluate"), ("scipy", "evaluate")]
)
def test_missing_extra_is_named_with_its_remedy(
    capsys: Capture,
    mini_artifact: Artifact,
    masked: str,
    monkeypatch: pytest.MonkeyPatch,
    missing: str,
    extra: str,
) -> None:
    from distilroberta.export import evaluate_command

    def find(name: str) -> Any:
        return None if name == missing else object()

    monkeypatch.setattr(evaluate_command, "find_spec", find)
    monkeypatch.setattr(evaluation, "find_spec", find)
    said = refused(capsys, 2, str(mini_artifact.path), "--data", masked)
    assert f"({missing} missing): pip install 'distilroberta-onnx[{extra}]'" in said


def test_threads_of_pytorch_are_as_before(mini: Path, mini_artifact: Artifact, masked: str) -> None:
    seen: list[int] = []
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        evaluate(
            mini_artifact,
            Path(masked),
            variants=["fp32"],
            checkpoint=str(mini),
            threads=1,
            progress=lambda *_: seen.append(torch.get_num_threads()),
        )
        assert set(seen) == {1}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_variant_that_is_not_there_is_refused_before_anything_is_loaded(
    mini_artifact: Artifact, masked: str
) -> None:
    started: list[str] = []
    with pytest.raises(InputError, match="variant 'int2' is not in"):
        evaluate(mini_artifact, Path(masked), variants=["int2"], starting=started.append)
    assert started == []
