"""GLUE's files as GLUE ships them, read as transformers' own processors read them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import glue_processors

from distilroberta.quantize.quality.labels import Labels, number
from distilroberta.quantize.quality.readers import read

Write = Callable[..., Path]

NLI = ["contradiction", "entailment", "neutral"]
TWO_WAY = ["entailment", "not_entailment"]
BINARY = ["0", "1"]

# By the processor's name: the labels, and a file with its header where it has one, two rows each.
FILES: dict[str, tuple[list[str] | None, str]] = {
    "sst-2": (
        BINARY,
        "sentence\tlabel\n"
        "it 's a charming and often affecting journey . \t1\n"
        '"unflinchingly bleak and desperate" \t0\n',
    ),
    "cola": (
        BINARY,
        "gj04\t1\t\tThe sailors rode the breeze clear of the rocks.\n"
        'gj04\t0\t*\tThe "problem perceives easily.\n',
    ),
    "mrpc": (
        BINARY,
        "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n"
        '1\t1355540\t1355592\tHe said the " foodservice pie .\tThe foodservice pie is sweet .\n'
        '0\t2029631\t2029565\tMagnarelli said Racicot hated .\tHis wife said he was "100 % .\n',
    ),
    "sts-b": (
        None,
        "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n"
        "0\tmain-captions\tMSRvid\t2012test\t0000\tnone\tnone\tA man with a hat.\tA man.\t5.000\n"
        "1\tmain-captions\tMSRvid\t2012test\t0002\tnone\tnone\tA child.\tA horse.\t0.583\n",
    ),
    "qqp": (
        BINARY,
        "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"
        "201359\t303345\t303346\tWhy are you?\tWhy is it?\t0\n"
        '"\tWas he a real figure?\t0\n'
        '263843\t69383\t380476\tIs "it?\tIs that it?\t1\n',
    ),
    "mnli": (
        NLI,
        "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\t"
        "sentence1_parse\tsentence2_parse\tsentence1\tsentence2\tlabel1\tlabel2\tlabel3\tlabel4\t"
        "label5\tgold_label\n"
        "0\t63735\t63735n\tslate\t( a )\t( b )\t(ROOT a)\t(ROOT b)\tThe new rights.\tEveryone.\t"
        "entailment\tneutral\tneutral\tneutral\tneutral\tneutral\n"
        "1\t91383\t91383c\tgovernment\t( a )\t( b )\t(ROOT a)\t(ROOT b)\tThis site.\tGAO.\t"
        "contradiction\tcontradiction\tentailment\tcontradiction\tcontradiction\tcontradiction\n",
    ),
    "qnli": (
        TWO_WAY,
        "index\tquestion\tsentence\tlabel\n"
        "0\tWhat came into force?\tAs of that day.\tentailment\n"
        "1\tWhat is the first?\tThe most important.\tnot_entailment\n",
    ),
    "rte": (
        TWO_WAY,
        "index\tsentence1\tsentence2\tlabel\n"
        "0\tDana Reeve has died.\tReeve had an accident.\tnot_entailment\n"
        "1\tYet, we are.\tBacteria is winning.\tentailment\n",
    ),
    "wnli": (
        BINARY,
        "index\tsentence1\tsentence2\tlabel\n"
        "0\tThe drain is clogged.\tThe hair has to be cleaned.\t0\n"
        "1\tJane knocked.\tSusan answered.\t1\n",
    ),
}


def theirs(name: str, folder: Path) -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they are to be replaced by another package
        return glue_processors[name]().get_dev_examples(str(folder))


@pytest.mark.parametrize("name", FILES)
def test_read_as_transformers_reads_it(write: Write, name: str) -> None:
    names, content = FILES[name]
    path = write("dev_matched.tsv" if name == "mnli" else "dev.tsv", content)
    label_of = number if names is None else Labels(dict(enumerate(names)))
    found = read(path, "text-classification", label_of)
    expected = theirs(name, path.parent)
    if name == "qqp":  # they leave the broken row out too
        assert found.left_out == 1
    assert len(found.examples) == len(expected) == 2
    for ours, their in zip(found.examples, expected, strict=True):
        label = number(their.label) if names is None else names.index(their.label)
        assert (ours.text, ours.pair, ours.label) == (their.text_a, their.text_b, label)


def test_training_file_of_mnli_has_fewer_columns(write: Write) -> None:
    _, content = FILES["mnli"]
    rows = [line.split("\t") for line in content.splitlines()]
    trained = "\n".join("\t".join([*row[:11], row[-1]]) for row in rows)
    found = read(write("train.tsv", trained), "text-classification", Labels(dict(enumerate(NLI))))
    assert [example.label for example in found.examples] == [2, 0]


def test_labels_that_the_model_names_otherwise_are_refused(write: Write) -> None:
    from distilroberta.quantize.quality.errors import DataError

    path = write("dev.tsv", FILES["rte"][1])
    with pytest.raises(DataError, match=r"dev\.tsv, line 2: the model has no label 'not_entail"):
        read(path, "text-classification", Labels({0: "LABEL_0", 1: "LABEL_1"}))
