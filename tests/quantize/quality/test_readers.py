"""Every format gives the same examples; what is not as it should be is refused with its place."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hypothesis
import pyarrow
import pytest
from hypothesis import strategies
from pyarrow import parquet

from distilroberta.quantize.quality.errors import DataError
from distilroberta.quantize.quality.examples import MaskedExample, QuestionExample
from distilroberta.quantize.quality.labels import Labels, number
from distilroberta.quantize.quality.readers import Data, detect_format, read
from distilroberta.runtime import InputError

Write = Callable[..., Path]

SENTIMENT = Labels({0: "bad", 1: "good"})
TAGS = Labels({0: "O", 1: "B-NP", 2: "I-NP"})

# Texts as any file may hold them, and those that a TSV can.
texts = strategies.text(
    strategies.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=30
)
plain = strategies.text(
    strategies.characters(exclude_categories=["Cs"], exclude_characters="\r\n\t"), max_size=30
)
pairs_of_rows = strategies.lists(
    strategies.tuples(texts, texts, strategies.sampled_from(["bad", "good"])),
    min_size=1,
    max_size=4,
)
property_settings = hypothesis.settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)


def classified(path: Path, **options: Any) -> list[tuple[str, str | None, float]]:
    data = read(path, "text-classification", SENTIMENT, **options)
    return [(example.text, example.pair, example.label) for example in data.examples]


def parquet_file(path: Path, rows: Sequence[dict[str, Any]], **options: Any) -> Path:
    parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path, **options)
    return path


def csv_text(rows: Sequence[Sequence[str]]) -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue()


def json_lines(rows: Sequence[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@property_settings
@hypothesis.given(rows=pairs_of_rows)
def test_csv_json_lines_and_parquet_hold_any_text(
    write: Write, tmp_path: Path, rows: list[tuple[str, str, str]]
) -> None:
    names = ("text", "text_pair", "label")
    expected = [(text, pair, float(label == "good")) for text, pair, label in rows]
    trees = [dict(zip(names, row, strict=True)) for row in rows]
    files = (
        write("a.csv", csv_text([names, *rows])),
        write("a.jsonl", json_lines(trees)),
        parquet_file(tmp_path / "a.parquet", trees),
    )
    for path in files:
        assert classified(path) == expected, path.name


@property_settings
@hypothesis.given(rows=strategies.lists(strategies.tuples(plain, plain), min_size=1, max_size=4))
def test_tsv_quotes_nothing(write: Write, rows: list[tuple[str, str]]) -> None:
    lines = ["sentence1\tsentence2\tlabel", *(f"{text}\t{pair}\t1" for text, pair in rows)]
    assert classified(write("a.tsv", "\n".join(lines))) == [(*row, 1) for row in rows]


@property_settings
@hypothesis.given(
    content=strategies.binary(max_size=200),
    name=strategies.sampled_from(
        ["a.tsv", "a.csv", "a.jsonl", "a.json", "a.parquet", "a.conll", "a"]
    ),
    task=strategies.sampled_from(
        ["text-classification", "fill-mask", "token-classification", "question-answering"]
    ),
)
def test_any_bytes_are_read_or_refused(write: Write, content: bytes, name: str, task: str) -> None:
    with contextlib.suppress(DataError):
        assert read(write(name, content), task, SENTIMENT).examples


def test_text_and_label_without_a_header(write: Write) -> None:
    path = write("dev.tsv", 'one "long string\t0\r\nof cliches \t1\r\n\n')
    assert classified(path) == [('one "long string', None, 0), ("of cliches ", None, 1)]


def test_columns_by_name(write: Write) -> None:
    path = write("a.csv", csv_text([["review", "id", "stars"], ["fine", "7", "good"]]))
    assert classified(path, columns={"text": "review", "label": "stars"}) == [("fine", None, 1)]


def test_columns_by_number_where_there_is_no_header(write: Write) -> None:
    path = write("a.tsv", "7\tfine\tx\tsecond\tgood\n")
    columns = {"text": "2", "pair": "4", "label": "5"}
    assert classified(path, columns=columns) == [("fine", "second", 1)]


def test_one_column_named_and_the_other_known(write: Write) -> None:
    path = write("a.jsonl", json_lines([{"sentence": "fine", "label": 0, "mine": 1}]))
    assert classified(path) == [("fine", None, 0)]
    assert classified(path, columns={"label": "mine"}) == [("fine", None, 1)]


def test_names_of_columns_in_any_case(write: Write) -> None:
    assert classified(write("a.csv", "Text,Label\nfine,1\n")) == [("fine", None, 1)]


def test_header_comes_back_as_data_only_where_it_is_data(write: Write) -> None:
    path = write("a.tsv", "text\tlabels\nfine\t1\n")
    with pytest.raises(DataError, match=r"line 1: the model has no label 'labels'.*is a header"):
        classified(path)


def test_numbers_of_a_regression(write: Write) -> None:
    path = write("a.csv", "sentence1,sentence2,score\na,b,3.8\n")
    (example,) = read(path, "text-classification", number).examples
    assert example.label == 3.8
    with pytest.raises(DataError, match=r"a\.csv, line 2: the label must be a number, found 'x'"):
        read(write("a.csv", "text,label\na,x\n"), "text-classification", number)


def test_limit_reads_no_further(write: Write) -> None:
    path = write("a.tsv", "a\t1\nb\t0\nc\twrong\n")
    assert len(classified(path, limit=2)) == 2
    with pytest.raises(DataError, match="line 3: the model has no label 'wrong'"):
        classified(path, limit=3)
    for limit in (0, -1):
        with pytest.raises(InputError, match="limit must be a whole number from 1 up"):
            classified(path, limit=limit)


def test_parquet_is_read_in_pieces_and_only_where_needed(tmp_path: Path) -> None:
    rows = [{"text": f"text {i}", "label": i % 2, "blob": "x" * 50} for i in range(3000)]
    path = parquet_file(tmp_path / "a.parquet", rows, row_group_size=700)
    found = classified(path)
    assert found == [(f"text {i}", None, i % 2) for i in range(3000)]
    assert classified(path, limit=5) == found[:5]


def test_masked_texts_with_and_without_words(write: Write) -> None:
    for name, content in (
        ("a.tsv", "a <mask> b\tword\n"),
        ("a.txt", "a <mask> b\tword\n"),
        ("a.csv", "text,word\na <mask> b, word\n"),
        ("a.jsonl", '{"text": "a <mask> b", "word": "word"}\n'),
    ):
        (example,) = read(write(name, content), "fill-mask", SENTIMENT).examples
        assert isinstance(example, MaskedExample)
        assert (example.text, example.word) == ("a <mask> b", "word")
    for name, content in (("a.tsv", "a <mask>\n"), ("a.jsonl", '{"text": "a <mask>"}\n')):
        (example,) = read(write(name, content), "fill-mask", SENTIMENT).examples
        assert example == MaskedExample(f"{write(name, content)}, line 1", "a <mask>", None)


WORDS = {"tokens": ["His", "firm", ","], "ner_tags": [1, "I-NP", "o"]}


def test_words_and_labels_as_json_and_parquet(write: Write, tmp_path: Path) -> None:
    tree = {**WORDS, "ner_tags": ["B-NP", "I-NP", "O"]}
    files = [
        write("a.jsonl", json_lines([WORDS])),
        parquet_file(tmp_path / "a.parquet", [tree]),
        write("a.conll", "His PRP B-NP\nfirm NN I-NP\n, , O\n"),
        write("a.txt", "His PRP B-NP\nfirm NN I-NP\n, , O\n"),
    ]
    for path in files:
        (example,) = read(path, "token-classification", TAGS).examples
        assert example.words == ("His", "firm", ",")
        assert example.labels == (1, 2, 0)


def test_questions_as_the_hub_has_them(write: Write, tmp_path: Path) -> None:
    rows = [
        {
            "id": "1",
            "question": "Who?",
            "context": "Ann came.",
            "answers": {"text": ["Ann", "Ann c"], "answer_start": [0, 0]},
        },
        {
            "id": "2",
            "question": "When?",
            "context": "Ann came.",
            "answers": {"text": [], "answer_start": []},
        },
    ]
    for path in (
        write("a.json", json_lines(rows)),
        parquet_file(tmp_path / "a.parquet", rows),
    ):
        found = read(path, "question-answering", SENTIMENT).examples
        assert [type(example) for example in found] == [QuestionExample] * 2
        assert [example.answers for example in found] == [("Ann", "Ann c"), ()]


@pytest.mark.parametrize(
    ("name", "content", "task", "expected"),
    [
        ("a.tsv", "", "text-classification", "tsv"),
        ("A.TSV", "", "text-classification", "tsv"),
        ("a.txt", "", "fill-mask", "tsv"),
        ("a.txt", "", "token-classification", "conll"),
        ("wnut.tsv", "", "token-classification", "conll"),
        ("a.json", '{"data": []}', "question-answering", "squad"),
        ("a.json", '{\n "data": []}', "question-answering", "squad"),
        ("a.json", '{"question": ""}\n{}', "question-answering", "jsonl"),
        ("a.json", '\n{"text": ""}', "text-classification", "jsonl"),
        ("train-00000-of-00001", b"PAR1...", "text-classification", "parquet"),
    ],
)
def test_format_by_name_and_content(
    write: Write, name: str, content: str | bytes, task: str, expected: str
) -> None:
    assert detect_format(write(name, content), task) == expected


def test_named_format_goes_before_the_name(write: Write) -> None:
    path = write("data.csv", "fine\t1\n")
    assert classified(path, data_format="tsv") == [("fine", None, 1)]


WRONG: list[tuple[str, str, str | bytes, str]] = [
    ("text-classification", "a.tsv", "", r"a\.tsv is empty"),
    ("text-classification", "a.tsv", "\n\n", r"a\.tsv is empty"),
    ("text-classification", "a.csv", "", r"a\.csv is empty"),
    ("text-classification", "a.jsonl", " \n", r"a\.jsonl is empty"),
    ("text-classification", "a.tsv", "sentence\tlabel\n", r"a\.tsv holds no example"),
    ("text-classification", "a.tsv", b"a\t1\n\xff\t0\n", "line 2: byte 0xff is not UTF-8"),
    ("text-classification", "a.tsv", "a\t1\nb\n", "line 2: has 1 columns, line 1 has 2"),
    ("text-classification", "a.tsv", "a\t1\n\nb\tc\t0\n", "line 3: has 3 columns, line 1 has 2"),
    ("text-classification", "a.tsv", "a\t1\nb\tmixed\n", "line 2: the model has no label 'mixed'"),
    ("text-classification", "a.tsv", "a\tb\tc\n", "can't tell which column is which; it has no h"),
    ("text-classification", "a.tsv", "label\tlabel\tsentence\nx\tx\tx\n", "line 1: a column is n"),
    ("text-classification", "a.csv", 'text,label\n"a\nb"c,1\n', "line 2: is not CSV: "),
    ("text-classification", "a.csv", 'text,label\n"a,1\n', "line 2: is not CSV: unexpected end"),
    ("text-classification", "a.csv", 'text,label\n"a\nb",1\nc\n', "line 4: has 1 columns, line 1"),
    ("text-classification", "a.jsonl", "{}\n", "can't tell which column is which; it has none"),
    ("text-classification", "a.jsonl", "[1]\n", "line 1: must be a JSON object, found list"),
    ("text-classification", "a.jsonl", "{'a': 1}\n", "line 1: is not JSON: "),
    (
        "text-classification",
        "a.jsonl",
        '{"text": "a", "label": 1}\n{"text": "b"}',
        "line 2: has no 'label'; it has 'text'",
    ),
    (
        "text-classification",
        "a.jsonl",
        '{"text": 5, "label": 1}',
        "line 1: 'text' must be a string, found int",
    ),
    (
        "text-classification",
        "a.jsonl",
        '{"text": "\\ud800", "label": 1}',
        "line 1: 'text' holds half of a surrogate pair",
    ),
    ("text-classification", "a.parquet", "PAR1", r"a\.parquet can't be read as Parquet: "),
    ("text-classification", "a.xyz", "a", r"a\.xyz: its name does not tell the format; choose"),
    ("fill-mask", "a.tsv", "a <mask>\tw\nb <mask>\t \n", "line 2: 'word' is empty"),
    ("fill-mask", "a.tsv", "a\tb\tc\n", "can't tell .* --columns text=NAME"),
    (
        "token-classification",
        "a.jsonl",
        '{"words": ["a", "b"], "labels": ["O"]}',
        "line 1: has 2 words and 1 labels; each word needs one",
    ),
    ("token-classification", "a.jsonl", '{"words": [], "labels": []}', "line 1: has 0 words"),
    (
        "token-classification",
        "a.jsonl",
        '{"words": "a b", "labels": []}',
        "line 1: 'words' must be a list, found str",
    ),
    (
        "token-classification",
        "a.jsonl",
        '{"words": [1], "labels": [0]}',
        "line 1: a word must be a string, found int",
    ),
    (
        "question-answering",
        "a.jsonl",
        '{"question": "q", "context": "c", "answers": "a"}',
        "line 1: 'answers' must be a list, or an object with a list as 'text'",
    ),
    (
        "question-answering",
        "a.jsonl",
        '{"question": "q", "context": "c", "answers": [{}]}',
        "line 1: an answer must be a string, found NoneType",
    ),
    ("question-answering", "a.tsv", "a", "question-answering is not read from tsv, but from squad"),
]


@pytest.mark.parametrize(("task", "name", "content", "said"), WRONG)
def test_what_is_wrong_is_said_with_its_place(
    write: Write, task: str, name: str, content: str | bytes, said: str
) -> None:
    labels = TAGS if task == "token-classification" else SENTIMENT
    with pytest.raises(DataError, match=said) as caught:
        read(write(name, content), task, labels)
    assert str(write(name, content)) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"txt": "a"}, "an example of text-classification has no 'txt'; it has text, label, pair"),
        ({"text": "review"}, "has no column 'review'; it has 'sentence', 'label'"),
        ({"text": "9"}, "has no column '9'; it has 'sentence', 'label'"),
    ],
)
def test_columns_that_are_not_there(write: Write, columns: dict[str, str], said: str) -> None:
    path = write("a.jsonl", json_lines([{"sentence": "a", "label": 1}]))
    with pytest.raises(DataError, match=said):
        classified(path, columns=columns)


def test_column_missing_from_a_file_without_header(write: Write) -> None:
    with pytest.raises(DataError, match=r"no column 'review'; it has no header .* columns 1 to 2"):
        classified(write("a.tsv", "fine\t1\n"), columns={"text": "review", "label": "2"})


def test_missing_files(tmp_path: Path) -> None:
    for name in ("a.tsv", "a.csv", "a.jsonl", "a.json", "a.parquet", "a"):
        with pytest.raises(DataError, match=f"{name} can't be read.*No such file"):
            read(tmp_path / name, "text-classification", SENTIMENT)


def test_result_counts_what_was_left_out(write: Write) -> None:
    header = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate"
    path = write("qqp.tsv", f"{header}\n1\t2\t3\ta\tb\t1\n\tb\t0\n1\t2\t3\tc\td\t0\textra\n")
    found = read(path, "text-classification", SENTIMENT)
    assert isinstance(found, Data)
    assert (len(found.examples), found.left_out) == (1, 2)
