"""The tables for a model card."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from distilroberta.bench.report.contents import make
from distilroberta.bench.report.markdown import markdown
from distilroberta.bench.report.results import read_all


def tables(text: str) -> list[list[list[str]]]:
    """Return the cells of the tables, as a Markdown parser finds them."""
    parser = MarkdownIt("commonmark", {"html": True}).enable("table")
    found: list[list[list[str]]] = []
    tokens = parser.parse(text)
    for token, content in itertools.pairwise(tokens):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type in {"th_open", "td_open"}:
            found[-1][-1].append("".join(part.content for part in content.children or ()))
    return found


@pytest.fixture(scope="module")
def text(all_results: list[Path]) -> str:
    return markdown(make(read_all(all_results)))


def test_the_verdict_comes_first(text: str) -> None:
    marker, verdict = [line for line in text.splitlines() if line][:2]
    assert marker == "<!-- distilroberta bench report -->"
    assert verdict.startswith(
        "**DistilRoBERTa is twice as fast as RoBERTa-base as an encoder, 1.96"
    )


def test_tables_are_tables(text: str) -> None:
    found = tables(text)
    assert len(found) >= 8
    for rows in found:
        assert len(rows) > 1
        assert len({len(row) for row in rows}) == 1
    overall = {row[0]: row[1:] for row in found[0]}
    assert overall["fill-mask, usual export, fp32"][0] == "1.50\u00d7 (1.49\u20131.51)"
    variants = next(rows for rows in found if rows[0][0] == "variant")
    assert variants[2][:5] == ["int8 on cpu", "85.0", "97.8 %", "0.00083", "0.9996"]
    assert any(row[0] == "ours int8 to OpenVINO INT8" for rows in found for row in rows)


def test_names_stay_what_they_are(document: Callable[..., Any], write: Callable[..., Path]) -> None:
    evil = "a|b *c* <script> `d` [e](f) \\"
    found = document("peers", batches=(1,), lengths=(16, 128))
    found["comparisons"][0]["engines"][0]["name"] = evil
    text = markdown(make(read_all([write(found)])))
    times = next(rows for rows in tables(text) if rows[0][0] == "engine")
    assert times[1][0] == evil
    assert len({len(row) for row in times}) == 1
    assert "<script" not in re.sub(r"\\<", "", text)


def test_the_same_results_give_the_same_text(all_results: list[Path], text: str) -> None:
    assert markdown(make(read_all(all_results))) == text
