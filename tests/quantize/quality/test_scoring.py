"""The tasks' scores against transformers: its tokenizers, its models, its rules."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import special
from seqeval.metrics import f1_score
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
)

from distilroberta.quantize.quality.answer_spans import BEST, LONGEST
from distilroberta.quantize.quality.errors import DataError, QualityError
from distilroberta.quantize.quality.evaluation import Candidate, Prepared, Scores, measure, prepare

Write = Callable[..., Path]
AsModel = Callable[[Any], Any]
Maker = Callable[..., Path]

LONG = "the quick brown fox jumps over the lazy dog " * 20
TEXTS = ["What a film!", "no", "It isn't   bad at all, is it?", "Überraschung 😀", LONG]
TAGS = ["O", "B-NP", "I-NP", "B-VP", "I-VP"]
# Words with apostrophes, several tokens, characters of several bytes, and what looks like spaces.
SENTENCES = [
    ["His", "firm", ",", "along", "with", "some", "others", "didn't", "go", "."],
    ["$", "3.25", "—", "été", "😀", "Überraschung", "a\u00a0b"],
    ["ok"],
    LONG.split(),
]


def scored(prepared: Prepared, model: Any, batch_size: int = 3) -> Scores:
    result = measure(
        prepared, [Candidate("model", model)], reference="model", batch_size=batch_size
    )
    return result.scores[0]


def json_lines(rows: Sequence[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


# Text classification


def pairs_file(write: Write, labels: Sequence[Any]) -> Path:
    pairs = list(zip(TEXTS, TEXTS[1:] + TEXTS[:1], strict=True))
    rows = [
        {"premise": a, "hypothesis": b, "label": label}
        for (a, b), label in zip(pairs, labels, strict=True)
    ]
    return write("pairs.jsonl", json_lines(rows))


def their_logits(folder: Path, *texts: Sequence[str]) -> np.ndarray:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    config = model.config
    longest = config.max_position_embeddings - config.pad_token_id - 1
    rows = []
    for parts in zip(*texts, strict=True):
        inputs = tokenizer(*parts, truncation=True, max_length=longest, return_tensors="pt")
        with torch.inference_mode():
            rows.append(model(**inputs).logits[0].numpy())
    return np.stack(rows)


def test_classification_of_texts_as_transformers(
    write: Write, classifier: Path, as_model: AsModel
) -> None:
    best = their_logits(classifier, TEXTS).argmax(axis=1)
    # Right but for the second and the last one.
    labels = [int(b + (i in (1, 4))) % 3 for i, b in enumerate(best)]
    rows = [{"text": text, "label": label} for text, label in zip(TEXTS, labels, strict=True)]
    data = prepare(classifier, "text-classification", write("a.jsonl", json_lines(rows)))
    model = as_model(AutoModelForSequenceClassification.from_pretrained(classifier).eval())
    for batch_size in (1, 2, 8):
        assert scored(data, model, batch_size).metrics["accuracy"] == pytest.approx(3 / 5)
    assert data.task.counts == {"texts": 5, "texts_cut": 1}


def test_classification_of_pairs_as_transformers(
    write: Write, classifier: Path, as_model: AsModel
) -> None:
    best = their_logits(classifier, TEXTS, TEXTS[1:] + TEXTS[:1]).argmax(axis=1)
    path = pairs_file(write, [["bad", "SO-SO", "good"][b] for b in best])
    data = prepare(classifier, "text-classification", path)
    model = as_model(AutoModelForSequenceClassification.from_pretrained(classifier).eval())
    assert scored(data, model).metrics["accuracy"] == 1


def test_regression_as_transformers(
    write: Write, make_checkpoint: Maker, as_model: AsModel
) -> None:
    folder = make_checkpoint("text-classification", num_hidden_layers=1, num_labels=1)
    expected = their_logits(folder, TEXTS, TEXTS[1:] + TEXTS[:1])[:, 0]
    model = as_model(AutoModelForSequenceClassification.from_pretrained(folder).eval())
    rising = prepare(folder, "text-classification", pairs_file(write, [float(v) for v in expected]))
    assert scored(rising, model).metrics == pytest.approx({"spearman": 1, "pearson": 1})
    falling = prepare(
        folder, "text-classification", pairs_file(write, [float(-v) for v in expected])
    )
    result = measure(falling, [Candidate("model", model)], reference=None)
    assert result.main_metric == "spearman"
    assert result.scores[0].metrics["spearman"] == pytest.approx(-1)
    with pytest.raises(DataError, match=r"line 1: the label is 3, as all others are; a correl"):
        prepare(folder, "text-classification", pairs_file(write, [3] * 5))


# Token classification


@pytest.fixture(scope="session")
def tagger(make_checkpoint: Maker) -> Path:
    """A token classification checkpoint with five tags."""
    return make_checkpoint(
        "token-classification",
        num_hidden_layers=1,
        id2label=dict(enumerate(TAGS)),
        label2id={name: index for index, name in enumerate(TAGS)},
    )


def their_tags(folder: Path, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return transformers' label of each word that it reads."""
    tokenizer = AutoTokenizer.from_pretrained(folder, add_prefix_space=True)
    model = AutoModelForTokenClassification.from_pretrained(folder, dtype=torch.float32).eval()
    config = model.config
    longest = config.max_position_embeddings - config.pad_token_id - 1
    found = []
    for words in sentences:
        inputs = tokenizer(
            list(words),
            is_split_into_words=True,
            truncation=True,
            max_length=longest,
            return_tensors="pt",
        )
        with torch.inference_mode():
            best = model(**inputs).logits[0].argmax(dim=-1).tolist()
        places = inputs.word_ids(0)
        first = [places.index(word) for word in range(len(words)) if word in places]
        found.append([config.id2label[best[place]] for place in first])
    return found


def words_file(write: Write, sentences: Any, labels: Any) -> Path:
    rows = [{"words": w, "labels": t} for w, t in zip(sentences, labels, strict=True)]
    return write("words.jsonl", json_lines(rows))


def test_words_as_transformers(write: Write, tagger: Path, as_model: AsModel) -> None:
    expected = their_tags(tagger, SENTENCES)
    random = np.random.default_rng(0)
    wrong = [[tag if random.random() < 0.7 else "B-VP" for tag in tags] for tags in expected]
    # Words that are cut off need a label, whatever it is.
    padded = [[*t, *["O"] * (len(w) - len(t))] for w, t in zip(SENTENCES, wrong, strict=True)]
    data = prepare(tagger, "token-classification", words_file(write, SENTENCES, padded))
    model = as_model(AutoModelForTokenClassification.from_pretrained(tagger).eval())
    scores = scored(data, model).metrics
    assert scores["f1"] == pytest.approx(f1_score(wrong, expected))
    assert 0.2 < scores["f1"] < 0.9
    flat = [
        (a, b)
        for one, two in zip(wrong, expected, strict=True)
        for a, b in zip(one, two, strict=True)
    ]
    assert scores["accuracy"] == pytest.approx(np.mean([a == b for a, b in flat]))
    cut = sum(map(len, SENTENCES)) - len(flat)
    assert cut > 0
    assert data.task.counts == {"sentences": 4, "words": len(flat), "words_cut": cut}


def test_labels_that_are_no_spans_are_scored_by_word(
    write: Write, make_checkpoint: Maker, as_model: AsModel
) -> None:
    names = ["NN", "VB", "DT"]
    folder = make_checkpoint(
        "token-classification", num_hidden_layers=1, id2label=dict(enumerate(names))
    )
    expected = their_tags(folder, SENTENCES[:3])
    data = prepare(folder, "token-classification", words_file(write, SENTENCES[:3], expected))
    model = as_model(AutoModelForTokenClassification.from_pretrained(folder).eval())
    assert data.task.main_metric == "accuracy"
    assert scored(data, model).metrics == {"accuracy": 1}


# Fill-mask


def masked_model(folder: Path) -> Any:
    """Run transformers as a served graph runs: the logits of the masks alone."""
    model: Any = AutoModelForMaskedLM.from_pretrained(folder, dtype=torch.float32).eval()
    mask_id = AutoTokenizer.from_pretrained(folder).mask_token_id

    def run(ids: Any, mask: Any) -> Any:
        inputs = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
        with torch.inference_mode():
            hidden = model.roberta(**inputs).last_hidden_state[inputs["input_ids"] == mask_id]
            return model.lm_head(hidden).numpy()

    return run


MASKED = [
    ("Paris is the <mask> of France.", "capital"),
    ("The man <mask> at the stranger.", "looked"),
    ("<mask> is a big city.", "It"),
    ("He said “<mask>” and left.", "Yes"),
    ("She lives in <mask> with two cats.", "antidisestablishmentarianism"),
]


def test_masked_words_as_transformers(write: Write, mini: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(mini)
    model = masked_model(mini)
    ranks, losses = [], []
    for text, word in MASKED:
        before = text[: text.index("<mask>")]
        ids = tokenizer(f" {word}" if before[-1:] == " " else word, add_special_tokens=False)
        if len(ids.input_ids) > 1:
            ranks.append(math.inf)
            continue
        inputs = tokenizer(text, return_tensors="np")
        (logits,) = model(inputs["input_ids"], inputs["attention_mask"])
        (target,) = ids.input_ids
        ranks.append(float((logits > logits[target]).sum()))
        losses.append(-special.log_softmax(logits.astype(float))[target])
    assert len(losses) == 4
    path = write("masked.tsv", "".join(f"{text}\t{word}\n" for text, word in MASKED))
    data = prepare(mini, "fill-mask", path)
    scores = scored(data, model).metrics
    assert scores["top_1"] == np.mean([rank < 1 for rank in ranks])
    assert scores["top_5"] == np.mean([rank < 5 for rank in ranks])
    assert scores["perplexity"] == pytest.approx(np.exp(np.mean(losses)), rel=1e-4)
    assert data.task.counts == {
        "texts": 5,
        "masks": 5,
        "words_of_several_tokens": 1,
    }


def test_words_that_are_next_to_impossible_have_no_perplexity(write: Write, mini: Path) -> None:
    model = masked_model(mini)
    data = prepare(mini, "fill-mask", write("masked.tsv", "\t".join(MASKED[0])))
    with pytest.raises(QualityError, match=r"^model has no score: the mean negative log likeli"):
        scored(data, lambda ids, mask: model(ids, mask) * np.float32(-1000))


def test_texts_without_words_agree_only(write: Write, mini: Path) -> None:
    path = write("masked.txt", "Two <mask> in <mask> text.\nOne <mask>.\n")
    data = prepare(mini, "fill-mask", path)
    model = masked_model(mini)
    candidates = [Candidate("a", model), Candidate("b", lambda *args: model(*args) + 1)]
    result = measure(data, candidates, reference="a")
    assert (result.main_metric, result.lost("b")) == (None, None)
    agreement = result.scores[1].agreement
    assert agreement is not None
    assert (agreement.rows, agreement.same_top, agreement.top_5_overlap) == (3, 1, 1)
    assert agreement.kl == pytest.approx(0, abs=1e-6)
    with pytest.raises(DataError, match="has no words, and there is no reference"):
        measure(data, candidates, reference=None)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("No mask.\tword\n", "line 1: must have <mask> within the model's length, found 0 of 0"),
        ("A <mask>.\tb\n<mask> <mask>\tb\n", "line 2: a text with a word must have one <mask>"),
        (f"{'word ' * 600}<mask>\tb\n", "line 1: must have <mask> .* found 0 of 1"),
    ],
)
def test_masks_that_are_not_there(write: Write, mini: Path, content: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        prepare(mini, "fill-mask", write("masked.tsv", content))


# Question answering


@pytest.fixture(scope="session")
def reader(make_checkpoint: Maker) -> Path:
    """A question answering checkpoint for 62 tokens, so that contexts take several windows."""
    return make_checkpoint("question-answering", num_hidden_layers=1, max_position_embeddings=64)


CONTEXT = (
    "The Normans (Norman: Nourmands; French: Normands) were the people who in the 10th and 11th "
    "centuries gave their name to Normandy, a region in France. 😀 They were descended from Norse "
    "raiders and pirates from Denmark, Iceland and Norway who, under their leader Rollo, agreed to "
    "swear fealty to King Charles III of West Francia."
)
QUESTIONS = [
    (" In what country is Normandy located?", CONTEXT),
    ("Who?", "Ann came."),
    ("When were the Normans in Normandy?", CONTEXT + " " + CONTEXT),
]


def their_windows(tokenizer: Any, question: str, context: str) -> Any:
    return tokenizer(
        question.lstrip(),
        context,
        truncation="only_second",
        max_length=62,
        stride=31,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )


def their_answers(folder: Path, *, may_have_none: bool) -> list[str]:
    """Answer by `run_qa`'s rules, written down again from transformers' own tokenization."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForQuestionAnswering.from_pretrained(folder).eval()
    found = []
    for question, context in QUESTIONS:
        windows = their_windows(tokenizer, question, context)
        best: list[tuple[float, str]] = []
        none = math.inf
        for number, ids in enumerate(windows["input_ids"]):
            with torch.inference_mode():
                output = model(input_ids=torch.tensor([ids]))
            start, end = output.start_logits[0].double(), output.end_logits[0].double()
            none = min(none, float(start[0] + end[0]))
            outside = torch.tensor([part != 1 for part in windows.sequence_ids(number)])
            start[outside] = end[outside] = -math.inf
            offsets = windows["offset_mapping"][number]
            best += [
                (float(start[first] + end[last]), context[offsets[first][0] : offsets[last][1]])
                for first in start.topk(min(BEST, len(ids))).indices.tolist()
                for last in end.topk(min(BEST, len(ids))).indices.tolist()
                if first <= last < first + LONGEST and start[first] + end[last] > -math.inf
            ]
        score, text = max(best, key=lambda pair: pair[0])
        found.append("" if may_have_none and none > score else text)
    return found


def questions_file(write: Write, answers: Sequence[Sequence[str]]) -> Path:
    rows = [
        {"question": question, "context": context, "answers": list(right)}
        for (question, context), right in zip(QUESTIONS, answers, strict=True)
    ]
    return write("questions.jsonl", json_lines(rows))


def test_windows_as_run_qa(write: Write, reader: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(reader)
    data = prepare(reader, "question-answering", questions_file(write, [["a"], ["b"], ["c"]]))
    expected = [ids for pair in QUESTIONS for ids in their_windows(tokenizer, *pair)["input_ids"]]
    assert [case.ids.tolist() for case in data.task.cases] == expected


def test_answers_as_run_qa(write: Write, reader: Path, as_model: AsModel) -> None:
    model = as_model(AutoModelForQuestionAnswering.from_pretrained(reader).eval())
    expected = their_answers(reader, may_have_none=False)
    assert all(expected)
    data = prepare(reader, "question-answering", questions_file(write, [[a] for a in expected]))
    for batch_size in (1, 4):
        scores = scored(data, model, batch_size).metrics
        assert scores == {"f1": 1, "exact_match": 1}
    assert data.task.counts["windows"] > 6
    wrong = questions_file(write, [[expected[0]], ["no such"], [expected[2]]])
    scores = scored(prepare(reader, "question-answering", wrong), model).metrics
    assert scores["exact_match"] == pytest.approx(2 / 3)


def test_questions_without_an_answer_as_run_qa(
    write: Write, reader: Path, as_model: AsModel
) -> None:
    run = as_model(AutoModelForQuestionAnswering.from_pretrained(reader).eval())

    for shift in (-20.0, 0.0, 20.0):

        def shifted(ids: Any, mask: Any, shift: float = shift) -> Any:
            start, end = run(ids, mask)
            start[:, 0] += shift  # how much the model wants to give no answer
            return start, end

        answers = their_answers(reader, may_have_none=False)
        path = questions_file(write, [[], [answers[1]], [answers[2]]])
        data = prepare(reader, "question-answering", path)
        scores = scored(data, shifted).metrics
        if shift == 0:
            found = their_answers(reader, may_have_none=True)
            exact = [found[0] == "", found[1] == answers[1], found[2] == answers[2]]
            assert scores["exact_match"] == pytest.approx(np.mean(exact))
        else:
            assert scores["f1_unanswerable"] == (shift > 0)
            assert scores["f1_answerable"] == (shift < 0)


def test_no_answer_is_given_only_where_all_windows_want_none(write: Write, reader: Path) -> None:
    row = {"question": "Who?", "context": CONTEXT, "answers": []}
    data = prepare(reader, "question-answering", write("questions.jsonl", json_lines([row])))
    assert data.task.counts["windows"] > 2

    def model(unwilling: int) -> Any:
        def run(ids: Any, mask: Any) -> Any:
            start, end = np.zeros((2, *ids.shape), np.float32)
            start[:, 0] = 9
            start[unwilling:, 0] = -9
            return start, end

        return run

    windows = len(data.task.cases)
    assert scored(data, model(windows), windows).metrics["f1_unanswerable"] == 1
    for unwilling in (0, windows - 1):
        assert scored(data, model(unwilling), windows).metrics["f1_unanswerable"] == 0


def test_rows_of_a_window_are_start_and_end(write: Write, reader: Path, as_model: AsModel) -> None:
    model = as_model(AutoModelForQuestionAnswering.from_pretrained(reader).eval())
    data = prepare(reader, "question-answering", questions_file(write, [["a"], ["b"], ["c"]]))

    def later(ids: Any, mask: Any) -> Any:
        start, end = model(ids, mask)
        # What padding and the question get is not read.
        start[mask == 0], end[mask == 0] = 1e9, -1e9
        start[:, 1], end[:, 1] = 1e9, 1e9
        return start, end

    candidates = [Candidate("a", model), Candidate("b", later)]
    _, second = measure(data, candidates, reference="a").scores
    assert second.agreement is not None
    assert second.agreement.rows == 2 * data.task.counts["windows"]
    assert second.agreement.largest_difference == 0
    assert second.agreement.same_top == 1


def test_question_that_leaves_no_room(write: Write, reader: Path) -> None:
    row = {"question": "who is it " * 12, "context": CONTEXT, "answers": ["Rollo"]}
    path = write("questions.jsonl", json_lines([row]))
    with pytest.raises(DataError, match=r"line 1: the question is too long: .* window of 62"):
        prepare(reader, "question-answering", path)


# Trained checkpoints


@pytest.mark.reality
def test_sentiment_of_the_trained_checkpoint(reality: Path, as_model: AsModel) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(
        reality / "sst2", dtype=torch.float32
    )
    data = prepare(reality / "sst2", "text-classification", reality / "data" / "sst2-dev.tsv")
    scores = scored(data, as_model(model.eval()), batch_size=32).metrics
    assert data.task.counts == {"texts": 872, "texts_cut": 0}
    assert scores["accuracy"] == pytest.approx(0.858, abs=0.0005)


@pytest.mark.reality
def test_chunks_of_the_trained_checkpoint(reality: Path, as_model: AsModel) -> None:
    folder = reality / "chunk"
    model = AutoModelForTokenClassification.from_pretrained(folder, dtype=torch.float32).eval()
    data = prepare(folder, "token-classification", reality / "data" / "chunk-dev.txt")
    scores = scored(data, as_model(model), batch_size=32).metrics
    assert data.task.counts["sentences"] == 936
    assert scores["accuracy"] == pytest.approx(0.972, abs=0.0005)
    some = prepare(folder, "token-classification", reality / "data" / "chunk-dev.txt", limit=40)
    lines = (reality / "data" / "chunk-dev.txt").read_text("utf-8").split("\n\n")[:40]
    rows = [[line.split() for line in sentence.splitlines()] for sentence in lines]
    tags = their_tags(folder, [[row[0] for row in sentence] for sentence in rows])
    expected = f1_score([[row[2] for row in sentence] for sentence in rows], tags)
    assert scored(some, as_model(model)).metrics["f1"] == pytest.approx(expected)


@pytest.mark.reality
def test_masked_words_of_the_trained_checkpoint(reality: Path) -> None:
    data = prepare(reality / "mlm", "fill-mask", reality / "data" / "masked.tsv")
    scores = scored(data, masked_model(reality / "mlm"), batch_size=32).metrics
    assert data.task.counts == {"texts": 600, "masks": 600, "words_of_several_tokens": 0}
    assert scores["top_1"] == pytest.approx(0.232, abs=0.0005)
    assert scores["perplexity"] == pytest.approx(143, abs=0.5)
