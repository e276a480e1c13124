"""What is loaded: the task, the weights, the tokenizer; and what is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import AutoTokenizer, RobertaForMaskedLM

from distilroberta.export.checkpoint import Loaded, load, task_of
from distilroberta.export.source import resolve
from distilroberta.runtime.errors import CheckpointError, InputError

Load = Callable[[Path], Loaded]
Edit = Callable[[Path, str, Callable[[dict[str, Any]], Any]], None]
Weights = dict[str, torch.Tensor]


def change_weights(folder: Path, change: Callable[[Weights], Any]) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def set_architectures(folder: Path, edit_json: Edit, value: Any) -> None:
    edit_json(folder, "config.json", lambda config: config.update(architectures=value))


@pytest.mark.parametrize(
    ("architectures", "task"),
    [
        (["RobertaForMaskedLM"], "fill-mask"),
        (["RobertaForSequenceClassification"], "text-classification"),
        (["RobertaForTokenClassification"], "token-classification"),
        (["RobertaForQuestionAnswering"], "question-answering"),
        (["RobertaModel"], "feature-extraction"),
        (["Custom", "RobertaForMaskedLM"], "fill-mask"),
    ],
)
def test_task_is_that_of_the_architecture(
    masker_copy: Path, edit_json: Edit, architectures: list[str], task: str
) -> None:
    set_architectures(masker_copy, edit_json, architectures)
    assert task_of(resolve(str(masker_copy))) == task


@pytest.mark.parametrize(
    ("asked", "task"),
    [
        ("fill-mask", "fill-mask"),
        ("text-classification", "text-classification"),
        ("sentiment-analysis", "text-classification"),
        ("token-classification", "token-classification"),
        ("ner", "token-classification"),
        ("question-answering", "question-answering"),
        ("feature-extraction", "feature-extraction"),
    ],
)
@pytest.mark.parametrize("named", [["RobertaForMaskedLM"], ["RobertaModel"], None])
def test_asked_task_comes_before_the_architecture(
    masker_copy: Path, edit_json: Edit, named: Any, asked: str, task: str
) -> None:
    set_architectures(masker_copy, edit_json, named)
    assert task_of(resolve(str(masker_copy)), asked) == task


@pytest.mark.parametrize("asked", ["translation", "", "Fill-Mask"])
def test_unknown_task_is_refused(masker: Path, asked: str) -> None:
    with pytest.raises(InputError, match=f"unknown task '{asked}': choose one of fill-mask, text"):
        task_of(resolve(str(masker)), asked)


@pytest.mark.parametrize(
    ("named", "is_a"),
    [
        (["RobertaForCausalLM"], "is a RobertaForCausalLM"),
        (["RobertaForMultipleChoice", "X"], "is a RobertaForMultipleChoice or X"),
        ([], "is a model without a named head"),
        (None, "is a model without a named head"),
        (5, "is a model without a named head"),
        ("RobertaForMaskedLM", "is a model without a named head"),
        ([None, ["X"]], r"is a None or \['X'\]"),
    ],
)
def test_head_that_can_not_be_built(
    masker_copy: Path, edit_json: Edit, named: Any, is_a: str
) -> None:
    set_architectures(masker_copy, edit_json, named)
    with pytest.raises(CheckpointError, match=f"^masker {is_a}; what can") as raised:
        task_of(resolve(str(masker_copy)))
    assert "--task" in str(raised.value)


@pytest.mark.parametrize(
    ("kind", "task", "lacking"),
    [
        (
            "masker",
            "text-classification",
            "classifier.dense.bias, classifier.dense.weight, classifier.out_proj.bias and others",
        ),
        (
            "labeller",
            "fill-mask",
            "lm_head.bias, lm_head.decoder.bias, lm_head.dense.bias and others",
        ),
        ("labeller", "token-classification", "classifier.bias, classifier.weight"),
        ("tagger", "question-answering", "qa_outputs.bias, qa_outputs.weight"),
        ("answerer", "token-classification", "classifier.bias, classifier.weight"),
    ],
)
def test_weights_of_another_task_are_refused(
    request: pytest.FixtureRequest, kind: str, task: str, lacking: str
) -> None:
    checkpoint = resolve(str(request.getfixturevalue(kind)))
    message = f"has no usable weights for {task}: {lacking} missing, or of another shape"
    with pytest.raises(CheckpointError, match=message):
        load(checkpoint, task)


def test_encoder_without_its_head_is_known_as_one(embedder: Path) -> None:
    """As models for embeddings are published: config.json names the head they were trained with."""
    with pytest.raises(CheckpointError, match="; --task feature-extraction builds it without a h"):
        load(resolve(str(embedder)), "fill-mask")


def test_missing_layer_gives_no_such_advice(masker_copy: Path, edit_json: Edit) -> None:
    edit_json(masker_copy, "config.json", lambda config: config.update(num_hidden_layers=2))
    with pytest.raises(CheckpointError, match=r"was not fine-tuned for this task$"):
        load(resolve(str(masker_copy)), "fill-mask")
    with pytest.raises(CheckpointError, match=r"feature-extraction: encoder\.layer\.1\..* task$"):
        load(resolve(str(masker_copy)), "feature-extraction")


@pytest.mark.parametrize("kind", ["masker", "labeller", "tagger", "answerer", "embedder"])
def test_head_and_pooler_are_left_out(request: pytest.FixtureRequest, kind: str) -> None:
    checkpoint = resolve(str(request.getfixturevalue(kind)))
    found = load(checkpoint, "feature-extraction").model.state_dict()
    assert {name.split(".")[0] for name in found} == {"embeddings", "encoder"}
    stored = load_file(checkpoint.folder / "model.safetensors")
    for name, weight in found.items():
        if name in stored or f"roberta.{name}" in stored:  # not the buffers, which are counted up
            assert torch.equal(weight, stored.get(name, stored.get(f"roberta.{name}")))
    assert sum(name.endswith("weight") for name in found) > 10


def test_one_missing_weight_is_named(labeller_copy: Path) -> None:
    change_weights(labeller_copy, lambda weights: weights.pop("classifier.out_proj.bias"))
    message = "text-classification: classifier.out_proj.bias missing, or of another shape; it was"
    with pytest.raises(CheckpointError, match=message):
        load(resolve(str(labeller_copy)), "text-classification")


def test_missing_layer_is_refused(masker_copy: Path, edit_json: Edit) -> None:
    edit_json(masker_copy, "config.json", lambda config: config.update(num_hidden_layers=2))
    with pytest.raises(CheckpointError, match=r"fill-mask: roberta\.encoder\.layer\.1\."):
        load(resolve(str(masker_copy)), "fill-mask")


def test_weight_of_another_shape_is_refused(masker_copy: Path, edit_json: Edit) -> None:
    edit_json(masker_copy, "config.json", lambda config: config.update(intermediate_size=64))
    with pytest.raises(CheckpointError, match=r"^masker.* (size mismatch|of another shape)"):
        load(resolve(str(masker_copy)), "fill-mask")


@pytest.mark.parametrize("kept", [0, 7, 1000], ids=["empty", "header cut", "data cut"])
def test_truncated_weights_are_refused(masker_copy: Path, kept: int) -> None:
    path = masker_copy / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match=r"^masker can't be loaded: .") as raised:
        load(resolve(str(masker_copy)), "fill-mask")
    assert "\n" not in str(raised.value)


def test_half_precision_is_loaded_as_single(
    masker: Path, masker_copy: Path, edit_json: Edit, load_folder: Load
) -> None:
    RobertaForMaskedLM.from_pretrained(masker).half().save_pretrained(masker_copy)
    assert load_file(masker_copy / "model.safetensors")["lm_head.bias"].dtype == torch.float16
    found, whole = load_folder(masker_copy).model, load_folder(masker).model
    for name, weight in found.named_parameters():
        assert weight.dtype == torch.float32
        assert torch.equal(weight, whole.get_parameter(name).half().float()), name


def test_model_is_in_evaluation_mode(masker: Path, load_folder: Load) -> None:
    assert not any(module.training for module in load_folder(masker).model.modules())


def test_vocabulary_and_merges_make_the_same_tokenizer(
    masker: Path, masker_copy: Path, load_folder: Load
) -> None:
    AutoTokenizer.from_pretrained(masker).backend_tokenizer.model.save(str(masker_copy))
    assert {"vocab.json", "merges.txt"} <= {path.name for path in masker_copy.iterdir()}
    (masker_copy / "tokenizer.json").unlink()
    found, whole = load_folder(masker_copy).tokenizer, load_folder(masker).tokenizer
    texts = ["Paris is the <mask> of France.", "  naïve é 中 \U0001f600\n", "", " a<mask>b </s>"]
    assert found(texts)["input_ids"] == whole(texts)["input_ids"]


def test_tokenizer_of_a_larger_vocabulary_is_refused(masker_copy: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(masker_copy)
    size = len(tokenizer)
    tokenizer.add_tokens(["distilrobertaonnx"])
    tokenizer.save_pretrained(masker_copy)
    message = f"has {size + 1} tokens, the model {size}: they do not belong together"
    with pytest.raises(CheckpointError, match=message):
        load(resolve(str(masker_copy)), "fill-mask")


def test_tokenizer_of_a_smaller_vocabulary_is_taken(
    make_checkpoint: Callable[..., Path], masker: Path, load_folder: Load
) -> None:
    size = len(AutoTokenizer.from_pretrained(masker))
    padded = load_folder(make_checkpoint(num_hidden_layers=1, vocab_size=size + 7))
    assert padded.model.config.vocab_size == len(padded.tokenizer) + 7


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"model": {"type": "BPE"}}'])
def test_broken_tokenizer_is_refused(masker_copy: Path, content: str) -> None:
    (masker_copy / "tokenizer.json").write_text(content, "utf-8")
    with pytest.raises(CheckpointError, match=r"^the tokenizer of masker can't be loaded: ."):
        load(resolve(str(masker_copy)), "fill-mask")


def test_tokenizer_without_a_mask_token_is_refused(masker_copy: Path, edit_json: Edit) -> None:
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        edit_json(masker_copy, name, lambda settings: settings.update(mask_token=None))
    with pytest.raises(CheckpointError, match="the tokenizer of masker has no mask token"):
        load(resolve(str(masker_copy)), "fill-mask")


def test_untied_output_projection_is_refused(masker_copy: Path, edit_json: Edit) -> None:
    def untie(weights: Weights) -> None:
        embedding = weights["roberta.embeddings.word_embeddings.weight"]
        weights["lm_head.decoder.weight"] = embedding + 0.01
        weights["lm_head.decoder.bias"] = weights["lm_head.bias"].clone()

    change_weights(masker_copy, untie)
    edit_json(masker_copy, "config.json", lambda config: config.update(tie_word_embeddings=False))
    with pytest.raises(
        CheckpointError, match="output projection that is not tied to its embedding"
    ):
        load(resolve(str(masker_copy)), "fill-mask")


def test_other_labels_than_the_weights_are_refused(
    tagger: Path, tmp_path: Path, edit_json: Edit
) -> None:
    folder = shutil.copytree(tagger, tmp_path / "tagger")
    labels = {str(index): f"L{index}" for index in range(4)}
    edit_json(folder, "config.json", lambda config: config.update(id2label=labels))
    with pytest.raises(CheckpointError, match=r"^tagger.* (size mismatch|of another shape)"):
        load(resolve(str(folder)), "token-classification")


@pytest.mark.parametrize("labels", [1, 3])
def test_question_answering_without_start_and_end_is_refused(
    make_checkpoint: Callable[..., Path], labels: int
) -> None:
    folder = make_checkpoint("question-answering", num_hidden_layers=1, num_labels=labels)
    with pytest.raises(CheckpointError, match=f"gives {labels} logits for a token, .* needs two"):
        load(resolve(str(folder)), "question-answering")


def test_loading_leaves_the_log_level_of_transformers(masker: Path, load_folder: Load) -> None:
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_info()
    try:
        load_folder(masker)
        assert logging.get_verbosity() == logging.INFO
    finally:
        logging.set_verbosity(before)


def test_tokenizer_json_can_be_read_without_transformers(masker: Path) -> None:
    assert Tokenizer.from_file(str(masker / "tokenizer.json")).token_to_id("<mask>") is not None


def test_token_types_that_mean_something_are_refused(
    make_checkpoint: Any, edit_json: Any, load_folder: Any
) -> None:
    folder = make_checkpoint("text-classification", num_hidden_layers=1, type_vocab_size=2)
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    edit_json(
        folder, "tokenizer_config.json", lambda config: config.update(model_input_names=inputs)
    )
    with pytest.raises(CheckpointError, match="tells texts of a pair apart by token types"):
        load_folder(folder)
