"""Checkpoints of a real model's shape with random weights.

Latency, memory and file size do not depend on the weights' values: every engine does the same
products whatever they are, and none of the files is compressed. So these stand in for
DistilRoBERTa where no network reaches the real one. What it *answers* means nothing.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from distilroberta.runtime import layout
from distilroberta.runtime.errors import CheckpointError

# In a clone; an installed package does not have it.
MINI = Path(__file__).parents[2] / "examples" / "mini"

# https://huggingface.co/distilbert/distilroberta-base/blob/main/config.json
DISTILROBERTA: dict[str, Any] = {
    "vocab_size": 50265,
    "hidden_size": 768,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "max_position_embeddings": 514,
    "type_vocab_size": 1,
    "layer_norm_eps": 1e-5,
}
# Of a classifier, as many as https://huggingface.co/SamLowe/roberta-base-go_emotions has. With two,
# the cosine of random logits would say little of whether two engines answer alike.
LABELS = 28


def random_checkpoint(
    folder: str | os.PathLike[str],
    *,
    task: str = "fill-mask",
    tokenizer: str | os.PathLike[str] | None = None,
    seed: int = 0,
    **config: Any,
) -> Path:
    """Write a checkpoint of DistilRoBERTa's shape with random weights.

    Args:
        folder: where the checkpoint goes; made if it is not there.
        task: `fill-mask`, or `text-classification` with 28 labels.
        tokenizer: a folder with a byte-level BPE `tokenizer.json` that has `<mask>`; by default
            the one of `examples/mini` in a clone. Filled up with tokens that no text gives until
            it has as many as the model.
        seed: of the weights; the same seed gives the same file. PyTorch's own state is left alone.
        config: fields of `RobertaConfig` that differ from DistilRoBERTa's.

    Returns:
        The folder: `config.json`, `model.safetensors` (FP32) and the tokenizer's files.

    Raises:
        CheckpointError: there is no usable tokenizer, or it is larger than the model's vocabulary.
    """
    import torch
    from transformers import RobertaConfig, RobertaForMaskedLM, RobertaForSequenceClassification

    classes = {
        "fill-mask": RobertaForMaskedLM,
        "text-classification": RobertaForSequenceClassification,
    }
    labels = {"num_labels": LABELS} if task == "text-classification" else {}
    shape = {**DISTILROBERTA, **labels, **config}
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    _write_tokenizer(Path(MINI if tokenizer is None else tokenizer), target, shape["vocab_size"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = classes[task](RobertaConfig(**shape))
    model.save_pretrained(target, safe_serialization=True)
    return target


def _write_tokenizer(source: Path, target: Path, size: int) -> None:
    path = source / layout.TOKENIZER
    try:
        tree = json.loads(path.read_text("utf-8"))
        _fill_up(tree, size, path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path} is not a byte-level BPE tokenizer that can be read ({error!r}): give the "
            "folder of one, such as examples/mini of a clone"
        ) from error
    (target / layout.TOKENIZER).write_text(json.dumps(tree, ensure_ascii=False), "utf-8")
    for name in (layout.TOKENIZER_CONFIG, layout.SPECIAL_TOKENS):
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)


def _fill_up(tree: dict[str, Any], size: int, path: Path) -> None:
    # No merge leads to a filler, so no text is tokenized to one and the other ids stay as they are.
    vocabulary = tree["model"]["vocab"]
    vocabulary.update({token["content"]: token["id"] for token in tree["added_tokens"]})
    if "<mask>" not in vocabulary:
        raise CheckpointError(f"{path} has no <mask> token")
    if len(vocabulary) > size:
        raise CheckpointError(
            f"{path} has {len(vocabulary)} tokens, more than the model's vocabulary of {size}"
        )
    free = sorted(set(range(size)) - set(vocabulary.values()))
    vocabulary.update({f"Ġfiller{index}": index for index in free})
