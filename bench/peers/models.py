"""A checkpoint as the models that OpenVINO and CTranslate2 run, made in their environment.

    python -m distilroberta.bench.peers.models TASK CHECKPOINT SAMPLES FOLDER

This is what `peers` runs; nobody else needs to. SAMPLES is a JSON list of lists of token ids, on
which NNCF calibrates. It writes into FOLDER, as the documentation of these tools says:

* `openvino_fp32.xml`: `openvino.convert_model` of the transformers model, its weights stored in
  FP16, as `openvino.save_model` does by default;
* `openvino_int8.xml`: that, after `nncf.quantize` with `ModelType.TRANSFORMER`, which chooses the
  preset, and smooths outlier channels (SmoothQuant);
* `ctranslate2`: `ctranslate2.converters.TransformersConverter` with `quantization="int8"`;
* `head.npz`: the head that CTranslate2 has not, in FP32, for `engines.apply_head`;
* `made.json`: the versions in this environment, and what precisions OpenVINO has on this machine.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

OPENVINO_FP32 = "openvino_fp32.xml"
OPENVINO_INT8 = "openvino_int8.xml"
CTRANSLATE2 = "ctranslate2"
HEAD = "head.npz"
MADE = "made.json"
# Of their environment, which has versions of its own of what this project runs on.
_PACKAGES = ("openvino", "nncf", "ctranslate2", "torch", "transformers", "numpy")


def make(task: str, checkpoint: Path, samples: list[list[int]], folder: Path) -> None:
    """Convert a checkpoint into a folder that is there.

    Args:
        task: `fill-mask` or `text-classification`.
        checkpoint: the checkpoint's folder.
        samples: token ids of texts to calibrate on.
        folder: where the files go.
    """
    import openvino
    from transformers import AutoModelForMaskedLM, AutoModelForSequenceClassification

    classes = {
        "fill-mask": AutoModelForMaskedLM,
        "text-classification": AutoModelForSequenceClassification,
    }
    model = classes[task].from_pretrained(checkpoint, local_files_only=True).eval()
    np.savez(folder / HEAD, **head_of(model))
    _make_openvino(model, samples, folder)
    _make_ctranslate2(checkpoint, folder)
    made = {
        "packages": {name: version(name) for name in _PACKAGES},
        "openvino_precisions": list(
            openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        ),
    }
    (folder / MADE).write_text(json.dumps(made), "utf-8")


def head_of(model: Any) -> dict[str, Any]:
    """Return the weights of a RoBERTa's head as `engines.apply_head` takes them, float32."""
    if hasattr(model, "lm_head"):
        head = model.lm_head
        tensors = {
            "dense": head.dense.weight,
            "dense_bias": head.dense.bias,
            "norm": head.layer_norm.weight,
            "norm_bias": head.layer_norm.bias,
            "decoder": head.decoder.weight,
            "decoder_bias": head.decoder.bias,
        }
        constants = {"epsilon": np.float32(head.layer_norm.eps)}
    else:
        head = model.classifier
        tensors = {
            "dense": head.dense.weight,
            "dense_bias": head.dense.bias,
            "out_proj": head.out_proj.weight,
            "out_proj_bias": head.out_proj.bias,
        }
        constants = {}
    return {**{name: tensor.detach().numpy() for name, tensor in tensors.items()}, **constants}


def _make_openvino(model: Any, samples: list[list[int]], folder: Path) -> None:
    import nncf
    import openvino
    import torch

    ids = [np.array([sample], dtype=np.int64) for sample in samples]
    feeds = [{"input_ids": one, "attention_mask": np.ones_like(one)} for one in ids]
    example = {name: torch.from_numpy(array) for name, array in feeds[0].items()}
    with torch.inference_mode():
        converted = openvino.convert_model(model, example_input=example)
    openvino.save_model(converted, folder / OPENVINO_FP32)
    quantized = nncf.quantize(
        converted,
        nncf.Dataset(feeds),
        subset_size=len(feeds),
        model_type=nncf.ModelType.TRANSFORMER,
    )
    openvino.save_model(quantized, folder / OPENVINO_INT8)


def _make_ctranslate2(checkpoint: Path, folder: Path) -> None:
    import ctranslate2

    converter = ctranslate2.converters.TransformersConverter(str(checkpoint))
    converter.convert(str(folder / CTRANSLATE2), quantization="int8")


def main(arguments: list[str]) -> None:
    """Convert what the command line names."""
    task, checkpoint, samples, folder = arguments
    make(task, Path(checkpoint), json.loads(Path(samples).read_text("utf-8")), Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
