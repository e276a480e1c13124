"""Load a checkpoint into PyTorch, and find the task it was trained for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from transformers import (
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    RobertaForMaskedLM,
    RobertaForQuestionAnswering,
    RobertaForSequenceClassification,
    RobertaForTokenClassification,
    RobertaModel,
)
from transformers.utils import logging as transformers_logging

from distilroberta.export.source import Checkpoint
from distilroberta.runtime import layout
from distilroberta.runtime.errors import CheckpointError, InputError

_MODELS: dict[str, type[PreTrainedModel]] = {
    "fill-mask": RobertaForMaskedLM,
    "text-classification": RobertaForSequenceClassification,
    "token-classification": RobertaForTokenClassification,
    "question-answering": RobertaForQuestionAnswering,
    "feature-extraction": RobertaModel,
}
# The pooler of a `RobertaModel` is a head as well: nothing that is built reads it.
_WITHOUT_POOLER: dict[str, Any] = {"add_pooling_layer": False}
_START_AND_END = 2
_TASK_OF = {model.__name__: task for task, model in _MODELS.items()}


@dataclass(frozen=True)
class Loaded:
    """A checkpoint in memory: its task, the FP32 model in evaluation mode, the tokenizer."""

    task: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast

    @property
    def max_length(self) -> int:
        """The longest text in tokens: positions are counted from pad_token_id + 1."""
        config: Any = self.model.config
        return int(config.max_position_embeddings - config.pad_token_id - 1)


def task_of(checkpoint: Checkpoint, asked: str | None = None) -> str:
    """Return the task a checkpoint was trained for.

    Args:
        checkpoint: its config's `architectures` name the head.
        asked: a task to take in place of it.

    Raises:
        InputError: the asked task is unknown.
        CheckpointError: the config names no head, or one that can't be built.
    """
    if asked is not None:
        task = layout.TASK_ALIASES.get(asked, asked)
        if task not in _MODELS:
            known = ", ".join((*_MODELS, *layout.TASK_ALIASES))
            raise InputError(f"unknown task {asked!r}: choose one of {known}")
        return task
    named = checkpoint.config.get("architectures")
    architectures = list(map(str, named)) if isinstance(named, list) else []
    for architecture in architectures:
        if architecture in _TASK_OF:
            return _TASK_OF[architecture]
    raise CheckpointError(
        f"{checkpoint.name} is a {' or '.join(architectures) or 'model without a named head'}; "
        f"what can be built is {', '.join(_TASK_OF)} (name the task with --task if config.json "
        "is wrong)"
    )


def load(checkpoint: Checkpoint, task: str) -> Loaded:
    """Load the weights from safetensors as FP32, and the tokenizer.

    Raises:
        CheckpointError: the files can't be read, a weight the task needs is missing or of another
            shape, or the tokenizer does not belong to the model.
    """
    model = _load_model(checkpoint, task)
    tokenizer = _load_tokenizer(checkpoint)
    if len(tokenizer) > model.config.vocab_size:
        raise CheckpointError(
            f"{checkpoint.name}: the tokenizer has {len(tokenizer)} tokens, the model "
            f"{model.config.vocab_size}: they do not belong together"
        )
    if "token_type_ids" in tokenizer.model_input_names and model.config.type_vocab_size > 1:
        raise CheckpointError(
            f"{checkpoint.name} tells texts of a pair apart by token types, as BERT does and "
            "RoBERTa does not; it can't be built"
        )
    if tokenizer.cls_token_id is None or tokenizer.sep_token_id is None:
        raise CheckpointError(f"the tokenizer of {checkpoint.name} has no <s> and </s> (cls, sep)")
    if task == "fill-mask":
        _check_fill_mask(checkpoint, model, tokenizer)
    if task == "question-answering" and model.config.num_labels != _START_AND_END:
        raise CheckpointError(
            f"{checkpoint.name} gives {model.config.num_labels} logits for a token, "
            "question-answering needs two, start and end; check id2label in config.json"
        )
    return Loaded(task, model, tokenizer)


def _load_model(checkpoint: Checkpoint, task: str) -> PreTrainedModel:
    level = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # what it would warn of is an error below
    try:
        model, report = _MODELS[task].from_pretrained(
            checkpoint.folder,
            use_safetensors=True,
            local_files_only=True,
            dtype=torch.float32,
            output_loading_info=True,
            **(_WITHOUT_POOLER if _MODELS[task] is RobertaModel else {}),
        )
    except Exception as error:  # transformers and safetensors raise many kinds
        raise CheckpointError(
            f"{checkpoint.name} can't be loaded: {' '.join(str(error).split())}"
        ) from error
    finally:
        transformers_logging.set_verbosity(level)
    lacking = sorted({*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])})
    if lacking:
        others = " and others" if len(lacking) > 3 else ""
        raise CheckpointError(
            f"{checkpoint.name} has no usable weights for {task}: {', '.join(lacking[:3])}{others} "
            f"missing, or of another shape; it was not fine-tuned for this task{_advice(lacking)}"
        )
    return model.eval()


def _advice(lacking: list[str]) -> str:
    # Models that make embeddings are often saved without the head that config.json names.
    has_encoder = not any("encoder." in key or "embeddings." in key for key in lacking)
    return "; --task feature-extraction builds it without a head" if has_encoder else ""


def _load_tokenizer(checkpoint: Checkpoint) -> PreTrainedTokenizerFast:
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            checkpoint.folder, use_fast=True, local_files_only=True
        )
    except Exception as error:  # tokenizers raises Exception itself
        raise CheckpointError(
            f"the tokenizer of {checkpoint.name} can't be loaded: {' '.join(str(error).split())}"
        ) from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise CheckpointError(f"{checkpoint.name} has no fast tokenizer, and none can be made")
    return tokenizer


def _check_fill_mask(checkpoint: Checkpoint, model: Any, tokenizer: Any) -> None:
    if tokenizer.mask_token_id is None:
        raise CheckpointError(f"the tokenizer of {checkpoint.name} has no mask token")
    embedding = model.roberta.embeddings.word_embeddings.weight
    if not torch.equal(model.lm_head.decoder.weight, embedding):
        raise CheckpointError(
            f"{checkpoint.name} has an output projection that is not tied to its embedding; only "
            "tied ones can be built"
        )
