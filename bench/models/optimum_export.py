"""What optimum users make of a checkpoint: the FP32 graph, and the dynamically quantized one.

The same as these two commands of optimum-onnx:

    optimum-cli export onnx --task TASK --model CHECKPOINT FOLDER
    optimum-cli onnxruntime quantize --avx512_vnni --per_channel --onnx_model FOLDER -o FOLDER

For fill-mask, the first one gives two different files. Where accelerate is installed, it stores
the embedding that the vocabulary projection is tied to once; without it, it only warns, and stores
both. Both are in use, so both are made here, installed accelerate or not. A text classifier ties
nothing, and there is one file.

The second one is not the only way either. `onnxruntime.quantization.quantize_dynamic`, with its
own defaults (`MatMulConstBOnly`), finds no constant in a tied projection: the embedding becomes
8 bits in the file, and every call rebuilds it in FP32, 154 MB for 50,265 tokens, to multiply by it.
optimum's settings make that an 8-bit product. So there are three INT8 files to compare with for
fill-mask, and two for text-classification.
"""

from __future__ import annotations

import logging
import os
import shutil
import warnings
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from distilroberta.bench.errors import BenchError

FP32 = "model.onnx"
INT8 = "model_quantized.onnx"
# What `quantize_dynamic` alone makes; in the tied folder, where there is one.
PLAIN_INT8 = "model_quantize_dynamic.onnx"
# How INT8 is made, for reports.
INT8_SCHEME = (
    "ORTQuantizer, AutoQuantizationConfig.avx512_vnni(is_static=False, per_channel=True): "
    "dynamic U8 activations, S8 weights per channel"
)
# onnx writes a newer file format by default than the onnxruntime of its time reads. Nothing in
# these graphs needs more than this one, which every onnxruntime that has INT8 kernels reads.
_IR_VERSION = 8


@dataclass(frozen=True)
class Exported:
    """Folders with `FP32`, `INT8`, the config and the tokenizer, by how they store the embedding.

    `tied` is None for a task that ties nothing, or where it was not asked for.
    """

    untied: Path
    tied: Path | None

    @property
    def folders(self) -> dict[str, Path]:
        """All folders by a word for a table: `tied` and `untied`, or an empty one."""
        if self.tied is None:
            return {"": self.untied}
        return {"tied": self.tied, "untied": self.untied}

    @property
    def fp32(self) -> Path:
        """The FP32 graph as it was exported."""
        return self.untied / FP32

    @property
    def plain_int8(self) -> Path:
        """What `quantize_dynamic` makes of the smaller FP32 graph."""
        return (self.tied or self.untied) / PLAIN_INT8


def export(
    checkpoint: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    task: str = "fill-mask",
    *,
    quantized: bool = True,
    tied: bool = True,
) -> Exported:
    """Export a checkpoint with optimum into a folder, in FP32 and in INT8.

    Args:
        checkpoint: the checkpoint's folder.
        folder: where folders of exported files are made.
        task: `fill-mask`, `text-classification` or `feature-extraction`.
        quantized: whether INT8 is made.
        tied: whether fill-mask is also made with the embedding stored once.

    Raises:
        BenchError: optimum could not do it.
    """
    tied_folder = Path(folder) / "tied" if tied and task == "fill-mask" else None
    made = Exported(Path(folder) / "untied", tied_folder)
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about tracing, which is how it exports
            _export_fp32(checkpoint, made.untied, task)
            if tied_folder is not None:
                shutil.copytree(made.untied, tied_folder)
                _tie(checkpoint, tied_folder / FP32)
            if quantized:
                for one in made.folders.values():
                    _quantize(one)
                _quantize_plainly(made.plain_int8)
    except Exception as error:  # optimum, onnx and torch raise many kinds
        raise BenchError(f"optimum could not export {checkpoint}: {error}") from error
    finally:
        logging.disable(level)
    return made


def _export_fp32(checkpoint: str | os.PathLike[str], folder: Path, task: str) -> None:
    from optimum.exporters.onnx import main_export

    # Tying is all that its post-processing does to an encoder.
    main_export(str(checkpoint), folder, task=task, no_post_process=True, local_files_only=True)
    _lower_ir_version(folder / FP32)


def _tie(checkpoint: str | os.PathLike[str], path: Path) -> None:
    from optimum.onnx import remove_duplicate_weights_from_tied_info
    from transformers import AutoModelForMaskedLM

    model = AutoModelForMaskedLM.from_pretrained(checkpoint, local_files_only=True)
    remove_duplicate_weights_from_tied_info(
        onnx.load(str(path)), model, _tied_parameters(model), save_path=str(path)
    )


def _tied_parameters(model: Any) -> list[list[str]]:
    # What accelerate.utils.find_tied_parameters returns: the names of each shared parameter.
    names = defaultdict(list)
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names[id(parameter)].append(name)
    return [sorted(group) for group in names.values() if len(group) > 1]


def _quantize(folder: Path) -> None:
    from optimum.onnxruntime import ORTQuantizer
    from optimum.onnxruntime.configuration import AutoQuantizationConfig

    scheme = AutoQuantizationConfig.avx512_vnni(is_static=False, per_channel=True)
    ORTQuantizer.from_pretrained(folder, file_name=FP32).quantize(
        quantization_config=scheme, save_dir=folder
    )
    _lower_ir_version(folder / INT8)


def _quantize_plainly(path: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(path.with_name(FP32), path, per_channel=True, weight_type=QuantType.QInt8)
    _lower_ir_version(path)


def _lower_ir_version(path: Path) -> None:
    model = onnx.load(str(path))
    if model.ir_version > _IR_VERSION:
        model.ir_version = _IR_VERSION
        onnx.save(model, str(path))
