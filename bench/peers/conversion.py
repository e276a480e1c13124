"""OpenVINO and CTranslate2 models of a checkpoint, made in their own environment, as engines."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tokenizers

from distilroberta.bench.errors import BenchError
from distilroberta.bench.harness.suite import EngineSpec
from distilroberta.bench.peers import models
from distilroberta.quantize.calibration_text import Texts
from distilroberta.runtime import layout
from distilroberta.runtime.tasks.model_config import ModelConfig

_ENGINES = "distilroberta.bench.peers.engines"
_MODULE = "distilroberta.bench.peers.models"
_LAST_LINES = 3
_MASK = "<mask>"
_HINT = "LATENCY"
# How the INT8 models are made, for reports.
OPENVINO_SCHEME = (
    "nncf.quantize, ModelType.TRANSFORMER, of the transformers model: static, calibrated on "
    "the texts of quantize/calibration.txt"
)
CTRANSLATE2_SCHEME = (
    'TransformersConverter, quantization="int8": encoder with dynamic activations; the head in '
    "FP32 in numpy, for what is read"
)


@dataclass(frozen=True)
class Peers:
    """The engines that could be made.

    `packages` are the versions in their environment, `skipped` says of each engine that this
    machine does not have why.
    """

    engines: list[EngineSpec]
    packages: dict[str, str]
    skipped: dict[str, str]


def make(interpreter: Path, task: str, checkpoint: Path, folder: Path, threads: int) -> Peers:
    """Convert a checkpoint for OpenVINO and CTranslate2, and describe the engines.

    Args:
        interpreter: the Python of an environment that `environment.make` made.
        task: `fill-mask` or `text-classification`.
        checkpoint: the checkpoint's folder, with a `tokenizer.json`.
        folder: where the models go; it must not be there.
        threads: how many each engine gets.

    Raises:
        BenchError: a model could not be made.
    """
    folder.mkdir()
    samples = folder / "samples.json"
    samples.write_text(json.dumps(_samples(checkpoint, task)), "utf-8")
    _run([interpreter, "-m", _MODULE, task, checkpoint, samples, folder])
    made = json.loads((folder / models.MADE).read_text("utf-8"))
    engines = [
        openvino("OpenVINO FP32", folder / models.OPENVINO_FP32, interpreter, threads, "f32"),
        openvino("OpenVINO INT8", folder / models.OPENVINO_INT8, interpreter, threads),
        _ctranslate2(folder, interpreter, threads),
    ]
    skipped = {}
    name, precisions = "OpenVINO BF16", made["openvino_precisions"]
    if "BF16" in precisions:
        model = folder / models.OPENVINO_FP32
        engines.insert(1, openvino(name, model, interpreter, threads, "bf16"))
    else:
        skipped[name] = f"OpenVINO has {', '.join(precisions)} on this machine, and no BF16"
    return Peers(engines, made["packages"], skipped)


def openvino(
    name: str, model: Path, interpreter: Path, threads: int, precision: str | None = None
) -> EngineSpec:
    """Describe a model in OpenVINO, see `engines.OpenVinoModel` for its arguments."""
    parts = (".onnx",) if model.suffix == ".onnx" else (".xml", ".bin")
    return EngineSpec(
        name,
        f"{_ENGINES}:OpenVinoModel",
        {"model": str(model), "threads": threads, "precision": precision, "hint": _HINT},
        sum(model.with_suffix(part).stat().st_size for part in parts),
        interpreter=interpreter,
    )


def _samples(checkpoint: Path, task: str) -> list[list[int]]:
    tokenizer = tokenizers.Tokenizer.from_file(str(checkpoint / layout.TOKENIZER))
    tokenizer.no_padding()
    tokenizer.enable_truncation(ModelConfig.read(checkpoint / layout.CONFIG).max_length)
    ids = [list(encoding.ids) for encoding in tokenizer.encode_batch(list(Texts()))]
    if task == "fill-mask":
        for row in ids:
            row[len(row) // 2] = tokenizer.token_to_id(_MASK)
    return ids


def _run(command: Sequence[str | Path]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise BenchError(f"{command[0]} can't be run: {error}") from error
    if done.returncode:
        said = " ".join(done.stderr.strip().splitlines()[-_LAST_LINES:])
        raise BenchError(f"OpenVINO and CTranslate2 models could not be made: {said}")


def _ctranslate2(folder: Path, interpreter: Path, threads: int) -> EngineSpec:
    model, head = folder / models.CTRANSLATE2, folder / models.HEAD
    return EngineSpec(
        "CTranslate2 INT8",
        f"{_ENGINES}:CTranslate2Model",
        {"model": str(model), "head": str(head), "threads": threads, "compute_type": "int8"},
        (model / "model.bin").stat().st_size + head.stat().st_size,
        interpreter=interpreter,
    )
