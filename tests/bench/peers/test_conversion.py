from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from distilroberta.bench.errors import BenchError
from distilroberta.bench.peers import conversion as peers
from distilroberta.quantize.calibration_text import Texts

# Stands for `python -m distilroberta.bench.peers.models` in the other environment.
FAKE = """\
import json, sys
from pathlib import Path
assert sys.argv[1:3] == ["-m", "distilroberta.bench.peers.models"], sys.argv
task, checkpoint, samples, folder = sys.argv[3:]
if not Path(checkpoint, "model.safetensors").is_file():
    sys.exit("a line\\nno model in " + checkpoint)
for name, size in {"openvino_fp32": 40, "openvino_int8": 10}.items():
    Path(folder, name + ".xml").write_bytes(b"x")
    Path(folder, name + ".bin").write_bytes(b"x" * size)
Path(folder, "ctranslate2").mkdir()
Path(folder, "ctranslate2", "model.bin").write_bytes(b"x" * 9)
Path(folder, "head.npz").write_bytes(b"x" * 3)
made = {"packages": {"openvino": "1.2"}, "openvino_precisions": PRECISIONS}
Path(folder, "made.json").write_text(json.dumps(made))
"""


def interpreter(folder: Path, *precisions: str) -> Path:
    program, script = folder / "fake.py", folder / "python"
    program.write_text(f"PRECISIONS = {precisions!r}\n{FAKE}", "utf-8")
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{program}" "$@"\n', "utf-8")
    script.chmod(0o755)
    return script


def test_the_engines_of_a_checkpoint(tmp_path: Path, classifier: Path) -> None:
    python, folder = interpreter(tmp_path, "FP32", "INT8"), tmp_path / "made"
    found = peers.make(python, "text-classification", classifier, folder, 2)
    assert {spec.name: spec.file_bytes for spec in found.engines} == {
        "OpenVINO FP32": 41,
        "OpenVINO INT8": 11,
        "CTranslate2 INT8": 12,
    }
    assert {spec.interpreter for spec in found.engines} == {python}
    assert {spec.arguments["threads"] for spec in found.engines} == {2}
    assert [spec.arguments.get("precision") for spec in found.engines] == ["f32", None, None]
    assert found.packages == {"openvino": "1.2"}
    assert found.skipped == {
        "OpenVINO BF16": "OpenVINO has FP32, INT8 on this machine, and no BF16"
    }


def test_onnx_graph_in_openvino(tmp_path: Path) -> None:
    graph = tmp_path / "model.onnx"
    graph.write_bytes(b"x" * 5)
    found = peers.openvino("ours", graph, tmp_path / "python", 2)
    assert (found.name, found.file_bytes) == ("ours", 5)
    assert found.engine == "distilroberta.bench.peers.engines:OpenVinoModel"
    expected = {"model": str(graph), "threads": 2, "precision": None, "hint": "LATENCY"}
    assert found.arguments == expected
    assert found.interpreter == tmp_path / "python"


def test_bf16_where_the_machine_has_it(tmp_path: Path, classifier: Path) -> None:
    python = interpreter(tmp_path, "FP32", "BF16")
    found = peers.make(python, "text-classification", classifier, tmp_path / "made", 2)
    assert [spec.name for spec in found.engines[:2]] == ["OpenVINO FP32", "OpenVINO BF16"]
    assert found.engines[1].arguments["precision"] == "bf16"
    assert found.skipped == {}


@pytest.mark.parametrize("task", ["fill-mask", "text-classification"])
def test_what_is_calibrated_on(tmp_path: Path, mini: Path, task: str) -> None:
    peers.make(interpreter(tmp_path), task, mini, tmp_path / "made", 1)
    samples = json.loads((tmp_path / "made" / "samples.json").read_text("utf-8"))
    tokenizer = AutoTokenizer.from_pretrained(mini)
    plain = tokenizer(list(Texts()), truncation=True, max_length=512).input_ids
    masks = [row.count(tokenizer.mask_token_id) for row in samples]
    assert set(masks) == {int(task == "fill-mask")}
    assert list(map(len, samples)) == list(map(len, plain))
    changed = [sum(map(int.__ne__, *pair)) for pair in zip(samples, plain, strict=True)]
    assert changed == masks


def test_a_conversion_that_fails(tmp_path: Path, mini: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for name in ("tokenizer.json", "config.json"):
        (other / name).write_bytes((mini / name).read_bytes())
    with pytest.raises(BenchError, match=r"could not be made: a line no model in .*other"):
        peers.make(interpreter(tmp_path), "fill-mask", other, tmp_path / "made", 1)
    with pytest.raises(BenchError, match="nowhere can't be run"):
        peers.make(tmp_path / "nowhere", "fill-mask", mini, tmp_path / "again", 1)
