"""Feature extraction gives transformers' hidden states, and sentence-transformers' vectors."""

from __future__ import annotations

import json
import pickle
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import AutoModel, AutoTokenizer

from distilroberta.export import build
from distilroberta.runtime import Artifact, InputError, pipeline
from distilroberta.runtime.command_line import run

Same = Callable[..., Any]
SameMaker = Callable[..., Same]
Checkpoint = Callable[..., Path]
Vectors = NDArray[np.float32]
Capture = pytest.CaptureFixture[str]

HIDDEN = 64
LONGEST = 64
LONG = "very " * 400
TEXTS = [
    "The dog barked at the stranger.",
    "I'm GLAD; aren't you?! (No.) -- \"Yes\"...",
    "",
    "   ",
    "  two spaces before, one behind ",
    "I \U0001f600 it \U0001f468\u200d\U0001f469\u200d\U0001f467",
    "שלום عالم",
    "Cafe\u0301 \ufeff a\0b\r\n\t.",
    "a </s> b <pad> c <mask>",
    "<mask> at either end <mask>",
]


@pytest.fixture(scope="module")
def same(make_same: SameMaker, embedder: Path, embedder_artifact: Artifact) -> Same:
    """Compare the hidden states of the checkpoint without a head."""
    return make_same(embedder, embedder_artifact)


@pytest.fixture(scope="module")
def extract(embedder_artifact: Artifact) -> Any:
    """A feature extraction pipeline in FP32."""
    return pipeline("feature-extraction", embedder_artifact, variant="fp32", provider="cpu")


@pytest.fixture(scope="module")
def reference(embedder: Path) -> Callable[..., Vectors]:
    """Pool as sentence-transformers does, with torch, in one padded batch."""
    tokenizer, model = AutoTokenizer.from_pretrained(embedder), AutoModel.from_pretrained(embedder)

    def pooled(texts: list[str], pooling: str, normalize: bool) -> Vectors:
        batch = tokenizer(
            texts, padding=True, truncation=True, max_length=LONGEST, return_tensors="pt"
        )
        with torch.inference_mode():
            states = model.eval()(**batch).last_hidden_state
        real = batch["attention_mask"][:, :, None].float()
        vectors = states[:, 0]
        if pooling == "mean":
            vectors = (states * real).sum(dim=1) / real.sum(dim=1).clamp(min=1e-9)
        if normalize:
            vectors = torch.nn.functional.normalize(vectors, p=2, dim=1)
        return np.asarray(vectors.numpy())

    return pooled


@pytest.mark.parametrize("text", TEXTS, ids=repr)
def test_hidden_states_are_those_of_transformers(same: Same, text: str) -> None:
    found = same(text)
    assert len(found) == 1
    assert {len(state) for state in found[0]} == {HIDDEN}


@pytest.mark.parametrize(
    "inputs",
    [
        pytest.param(TEXTS[:1], id="list of one"),
        pytest.param(TEXTS, id="list"),
        pytest.param([], id="empty list"),
        pytest.param(lambda: (text for text in TEXTS[:3]), id="generator"),
    ],
)
def test_container_decides_the_nesting(same: Same, inputs: Any) -> None:
    same(inputs)


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_padding_is_no_part_of_an_answer(extract: Any, batch_size: int) -> None:
    """transformers, given a batch size, gives the states of the padding too."""
    found = extract(TEXTS, batch_size=batch_size)
    for states, text in zip(found, TEXTS, strict=True):
        alone = np.array(extract(text))
        assert np.shape(states) == alone.shape
        np.testing.assert_allclose(states, alone, rtol=0, atol=1e-5)


def test_long_text_is_answered_as_its_beginning(same: Same, extract: Any) -> None:
    found = same(LONG, theirs={"tokenize_kwargs": {"truncation": True, "max_length": LONGEST}})
    assert len(found[0]) == LONGEST
    for cut in (None, True, "longest_first", "only_first"):
        assert extract(LONG, truncation=cut) == found
        assert extract(LONG, tokenize_kwargs={"truncation": cut}) == found


@pytest.mark.parametrize(
    "config",
    [
        pytest.param({"num_hidden_layers": 1}, id="1 layer"),
        pytest.param({"num_hidden_layers": 4, "max_position_embeddings": 40}, id="4 layers"),
        pytest.param({"hidden_size": 48, "num_attention_heads": 3}, id="48 wide, 3 heads"),
        pytest.param({"vocab_size": 8100, "type_vocab_size": 2}, id="other vocabulary"),
        pytest.param({"intermediate_size": 40, "hidden_act": "relu"}, id="narrow feed-forward"),
    ],
)
def test_checkpoint_of_any_shape(
    make_checkpoint: Checkpoint, make_same: SameMaker, config: dict[str, Any]
) -> None:
    same = make_same(make_checkpoint("feature-extraction", seed=1, **config))
    same(TEXTS[:2] + TEXTS[5:7])


@pytest.mark.parametrize(
    "task", ["fill-mask", "text-classification", "token-classification", "question-answering"]
)
def test_head_is_left_out(
    make_checkpoint: Checkpoint, make_same: SameMaker, tmp_path: Path, task: str
) -> None:
    checkpoint = make_checkpoint(task, num_hidden_layers=1)
    artifact = build(checkpoint, tmp_path / "a", task="feature-extraction", variants=["fp32"])
    assert artifact.task == "feature-extraction"
    make_same(checkpoint, artifact)(TEXTS[:2])


def test_nested_lists_hold_floats_that_json_takes(extract: Any) -> None:
    found = extract(["one", "and two"])
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize("inputs", [TEXTS[0], TEXTS, TEXTS[:1]], ids=["one", "list", "list of one"])
def test_tensors_are_arrays_of_the_same_values(extract: Any, inputs: Any) -> None:
    found, lists = extract(inputs, return_tensors=True), extract(inputs)
    alone = isinstance(inputs, str)
    for array, values in zip([found] if alone else found, [lists] if alone else lists, strict=True):
        assert array.dtype == np.float32
        assert array.shape == (1, len(values[0]), HIDDEN)
        assert array.tolist() == values


@pytest.mark.parametrize("normalize", [False, True], ids=["as it is", "normalized"])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_pooled_vectors_are_those_of_torch(
    extract: Any, reference: Callable[..., Vectors], pooling: str, normalize: bool
) -> None:
    texts = [*TEXTS, LONG]
    found = extract(texts, pooling=pooling, normalize=normalize)
    assert found.dtype == np.float32
    assert found.shape == (len(texts), HIDDEN)
    np.testing.assert_allclose(found, reference(texts, pooling, normalize), rtol=0, atol=1e-4)
    if normalize:
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-6)
    alone = extract(texts[0], pooling=pooling, normalize=normalize)
    assert alone.shape == (HIDDEN,)
    np.testing.assert_allclose(alone, found[0], rtol=0, atol=1e-5)
    lazily = extract(iter(texts), pooling=pooling, normalize=normalize)
    assert iter(lazily) is lazily
    np.testing.assert_allclose(np.stack(list(lazily)), found, rtol=0, atol=1e-5)


def test_mean_is_over_real_tokens_with_the_first_and_last(extract: Any) -> None:
    (states,) = extract("The dog barked.", return_tensors=True)
    assert len(states) == len(extract.tokenizer.encode(["The dog barked."])[0].ids)
    expected = states.astype(np.float64).mean(axis=0)
    found = extract(["The dog barked.", "a much longer text beside it"], batch_size=2)
    assert len(found[0][0]) == len(states)
    pooled = extract(["The dog barked.", LONG], pooling="mean", batch_size=2)
    np.testing.assert_allclose(pooled[0], expected, rtol=0, atol=1e-5)


def test_vectors_of_many_texts_are_in_order(extract: Any) -> None:
    texts = [f"{'word ' * (index * 7 % 23)}{index}" for index in range(1200)]
    found = extract(texts, pooling="mean")
    for index in (0, 1, 599, 600, 1199):
        alone = extract(texts[index], pooling="mean")
        np.testing.assert_allclose(found[index], alone, rtol=0, atol=1e-5)


def test_nothing_pooled_is_an_empty_array(extract: Any) -> None:
    found = extract([], pooling="mean")
    assert (found.shape, found.dtype) == ((0, HIDDEN), np.float32)
    assert list(extract(iter([]), pooling="mean")) == []


@pytest.mark.parametrize(
    "asked",
    [{"pooling": "cls"}, {"pooling": "mean", "normalize": True}, {"return_tensors": True}, {}],
    ids=repr,
)
def test_no_output_outlives_its_batch(
    embedder_artifact: Artifact, monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any]
) -> None:
    """What is kept of a text is what its answer holds."""
    extract = pipeline(None, embedder_artifact, variant="fp32", provider="cpu", threads=1)
    run, outputs, alive = extract.session.run, [], []

    def watched(*feeds: Any) -> Any:
        output = run(*feeds)
        outputs.append(weakref.ref(output))
        alive.append(sum(one() is not None for one in outputs))
        return output

    monkeypatch.setattr(extract.session, "run", watched)
    answers = extract([f"{'a ' * (number % 40)}b" for number in range(40)], **asked)
    assert len(answers) == 40
    assert len(alive) > 3
    assert max(alive) == 1
    assert all(one() is None for one in outputs)


def test_constructor_gives_the_defaults_and_the_call_overrules_them(
    embedder_artifact: Artifact, extract: Any
) -> None:
    made = pipeline(
        None, embedder_artifact, variant="fp32", provider="cpu", pooling="cls", normalize=True
    )
    expected = extract("Hello", pooling="cls", normalize=True)
    for pipe in (made, pickle.loads(pickle.dumps(made))):  # noqa: S301 - our own
        np.testing.assert_array_equal(pipe("Hello"), expected)
    np.testing.assert_array_equal(
        made("Hello", normalize=False), extract("Hello", pooling="cls", normalize=False)
    )
    assert made("Hello", pooling=None, normalize=False) == extract("Hello")
    tensors = pipeline(None, embedder_artifact, variant="fp32", provider="cpu", return_tensors=True)
    assert tensors("Hello").tolist() == extract("Hello")
    assert tensors("Hello", return_tensors=False) == extract("Hello")
    whole = pipeline(None, embedder_artifact, variant="fp32", provider="cpu", truncation=False)
    with pytest.raises(InputError, match="text 0: has more tokens than the 64"):
        whole(LONG)
    assert len(whole(LONG, truncation=True)[0]) == LONGEST


@pytest.mark.parametrize("whole", [False, "do_not_truncate"], ids=repr)
def test_text_that_must_not_be_cut_is_refused_by_its_index(extract: Any, whole: Any) -> None:
    assert extract("short", truncation=whole) == extract("short")
    message = "^text 1: has more tokens than the 64 that the model takes: shorten it, or leave"
    for parameters in ({"truncation": whole}, {"tokenize_kwargs": {"truncation": whole}}):
        with pytest.raises(InputError, match=message):
            extract(["short", LONG, "short"], **parameters)


@pytest.mark.parametrize("variant", ["fp32", "fp16", "int8"])
def test_answer_does_not_depend_on_the_neighbours(
    embedder_artifact: Artifact, variant: str
) -> None:
    extract = pipeline(None, embedder_artifact, variant=variant, provider="cpu", pooling="mean")
    alone = np.stack([extract(text) for text in TEXTS])
    np.testing.assert_allclose(extract(TEXTS), alone, rtol=0, atol=1e-4)
    np.testing.assert_allclose(extract(TEXTS[::-1]), alone[::-1], rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        pytest.param(None, "text 0: must be a string, found NoneType", id="None"),
        pytest.param(b"text", "text 0: must be a string, found bytes", id="bytes"),
        pytest.param(("a", "b"), "text 0: must be a string, found tuple", id="tuple"),
        pytest.param({"text": "a"}, "text 0: must be a string, found dict", id="dict"),
        pytest.param(["a", ["b"]], "text 1: must be a string, found list", id="nested list"),
        pytest.param(["a", "\ud800"], "text 1: holds a lone surrogate", id="lone surrogate"),
    ],
)
@pytest.mark.parametrize("pooling", [None, "mean"])
def test_wrong_input_is_refused_by_its_index(
    extract: Any, inputs: Any, message: str, pooling: str | None
) -> None:
    with pytest.raises(InputError, match=message):
        extract(inputs, pooling=pooling)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"pooling": "max"}, "pooling must be None, mean or cls, found 'max'"),
        ({"pooling": 5}, "pooling must be None, mean or cls, found 5"),
        ({"pooling": ""}, "pooling must be None, mean or cls, found ''"),
        ({"pooling": np.array(["mean", "cls"])}, "pooling must be None, mean or cls, found array"),
        ({"pooling": np.array([])}, "pooling must be None, mean or cls, found array"),
        ({"normalize": np.array([1, 0])}, "normalize must be True or False, found array"),
        ({"pooling": "mean", "normalize": 1}, "normalize must be True or False, found 1"),
        ({"normalize": True}, "normalize is for pooled vectors: choose a pooling, mean or cls"),
        ({"return_tensors": "pt"}, "return_tensors must be True or False, found 'pt'"),
        ({"truncation": "only_second"}, "truncation must be one of True, .* 'only_second'"),
        ({"truncation": 1}, "truncation must be one of True, .* found 1"),
        ({"tokenize_kwargs": {"max_length": 8}}, "may hold truncation and nothing else, found max"),
        ({"tokenize_kwargs": ["truncation"]}, "tokenize_kwargs must be a mapping, found list"),
        (
            {"truncation": True, "tokenize_kwargs": {"truncation": True}},
            "truncation is given twice",
        ),
        ({"batch_size": 0}, "batch_size must be a whole number from 1 up, found 0"),
    ],
)
def test_wrong_parameter(
    embedder_artifact: Artifact, extract: Any, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        extract(["text"], **parameters)
    with pytest.raises(InputError, match=message):
        pipeline(None, embedder_artifact, variant="fp32", **parameters)


@pytest.mark.parametrize("texts", [["Hello"], ["Hello", "and more"]], ids=["one", "two"])
@pytest.mark.parametrize(
    ("words", "parameters"),
    [
        ([], {}),
        (["--pooling", "mean"], {"pooling": "mean"}),
        (["--pooling", "cls", "--normalize"], {"pooling": "cls", "normalize": True}),
        (["--task", "feature-extraction"], {}),
    ],
    ids=repr,
)
def test_predict_prints_what_python_returns(
    capsys: Capture,
    embedder_artifact: Artifact,
    extract: Any,
    texts: list[str],
    words: list[str],
    parameters: dict[str, Any],
) -> None:
    command = ["predict", str(embedder_artifact.path), *texts, "--variant", "fp32", *words]
    assert run([*command, "--json"]) == 0
    expected = extract(texts[0] if len(texts) == 1 else texts, **parameters)
    printed = json.loads(capsys.readouterr().out)
    assert printed == (expected.tolist() if parameters else expected)
    assert run(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[::2] == texts
    for line, one in zip(lines[1::2], [expected] if len(texts) == 1 else expected, strict=True):
        shape, values = line.split(":")
        assert shape.strip() == " x ".join(map(str, np.shape(one)))
        assert values.split()[:6] == [f"{value:.4f}" for value in np.ravel(one)[:6]]
        assert values.split()[6:] == ["..."]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--top-k", "1"], "--top-k is for fill-mask, text-classification"),
        (["--normalize"], "normalize is for pooled vectors"),
        (["--pooling", "max"], "pooling must be None, mean or cls, found 'max'"),
        (["--candidate-label", "a"], "--candidate-label is for zero-shot-classification; this"),
        (["--task", "fill-mask"], "was built for feature-extraction, not for fill-mask"),
    ],
)
def test_option_of_another_task_is_refused(
    capsys: Capture, embedder_artifact: Artifact, words: list[str], message: str
) -> None:
    assert run(["predict", str(embedder_artifact.path), "Hello", *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.reality
def test_trained_checkpoint_answers_as_pytorch(
    make_same: SameMaker, reality: Path, trained_embedder_artifact: Artifact
) -> None:
    lines = (reality / "data" / "sst2-dev.tsv").read_text("utf-8").splitlines()
    texts = [line.split("\t")[0] for line in lines[::300]]
    make_same(reality / "mlm", trained_embedder_artifact)(texts)


@pytest.mark.parametrize(("pooling", "most"), [(None, 8), ("mean", 512)])
def test_few_hidden_states_are_held_at_once(extract: Any, pooling: str | None, most: int) -> None:
    taken: list[str] = []
    answers = extract((taken.append(text) or text for text in ["a"] * 1100), pooling=pooling)
    ahead = [len(taken) - index for index, _ in enumerate(answers)]
    assert max(ahead) == most
