"""Documents take their figures from results files, and those of this project are up to date."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from distilroberta.bench.documents import figures_in_docs, markdown_tables
from distilroberta.bench.documents.figures_in_docs import places, refreshed
from distilroberta.bench.report import results
from distilroberta.runtime.errors import InputError

PROJECT = Path(__file__).parents[3]
RESULTS = Path(__file__).with_name("results")
END = "<!-- results: end -->"
# Results that must be there.
MEASURED = {"claim", "peers"}

TEXT = """\
# Title

- said by hand
<!-- results: text
- INT8 takes {latency: variants[variant="int8"].cold_start_seconds.median | .2f} s,
  {latency: variants[variant="int8"].file_bytes / 1e6 | .0f} MB, {{braces}}, with `--json`,
  {latency: variants[variant="int8"].quality.same_top | .1%} on {latency: machine.cpu}.
-->
<!-- results: end -->

The end.
"""
FILLED = """\
- INT8 takes 0.39 s,
  85 MB, {braces}, with `--json`,
  97.8% on A Processor.
"""


def renewed(text: str, folder: Path = RESULTS) -> str:
    return refreshed(text, places(text, "README.md", folder))


def test_text_is_filled_from_its_template() -> None:
    assert renewed(TEXT) == TEXT.replace(END, FILLED + END)


def test_what_stands_at_a_place_is_replaced_and_nothing_else() -> None:
    old = TEXT.replace(END, "- INT8 takes 9.99 s\n\n" + END)
    assert renewed(old) == renewed(TEXT)
    assert renewed(renewed(TEXT)) == renewed(TEXT)


def test_table_is_made_from_the_file_it_names() -> None:
    choice = {"task": "fill-mask", "workloads": "16 tokens"}
    mark = '<!-- results: table claim task="fill-mask" workloads="16 tokens" -->'
    expected = markdown_tables.table(results.read(RESULTS / "claim.json"), choice)
    text = "\n".join(["Before.", mark, END, "After."])
    assert renewed(text).split("\n") == ["Before.", mark, *expected, END, "After."]


def test_several_places_are_renewed_at_once() -> None:
    both = f"{TEXT}\n<!-- results: table claim -->\nstale\n{END}\n{TEXT}"
    found = places(both, "README.md", RESULTS)
    assert [place.line for place in found] == [4, 13, 19]
    done = renewed(both)
    assert done.count(FILLED) == 2
    assert "stale" not in done


def test_reader_of_the_page_sees_no_marks() -> None:
    text = renewed(f"{TEXT}\n<!-- results: table claim -->\n{END}\n")
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    seen = " ".join(
        child.content
        for token in tokens
        for child in token.children or []
        if child.type != "html_inline"
    )
    assert "results:" not in seen
    assert "latency:" not in seen
    assert "INT8 takes 0.39 s" in seen
    kinds = [token.type for token in tokens]
    assert kinds.count("table_open") == 1
    comments = [token.content for token in tokens if token.type == "html_block"]
    assert all(part.startswith("<!--") and part.endswith("-->\n") for part in comments)


def test_marks_in_code_are_left_alone() -> None:
    text = "    <!-- results: table nothing -->\n    old\n    <!-- results: end -->\n"
    assert renewed(text) == text


def text_place(line: str) -> str:
    return f"Title\n<!-- results: text\nfirst\n{line}\n-->\n{END}"


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        (text_place("{latency: variant}"), 4, "{latency: variant}: 'variant' is not at the top"),
        (text_place("{slowness: command}"), 4, "slowness.json can't be read"),
        (text_place("{latency: command | .2f}"), 4, "can't be shown so: Unknown format code"),
        (text_place("{latency: command / 2}"), 4, "can't be shown so"),
        (text_place("{latency: seconds / 0}"), 4, "can't be shown so"),
        (text_place("{latency: machine}"), 4, "neither text nor a number is there, but dict"),
        (text_place("{latency: complete}"), 4, "neither text nor a number is there, but bool"),
        (text_place('{latency: variants["x"]}'), 4, '0 entries with name="x" are at variants'),
        (text_place("{latency}"), 4, "a figure is written {name: path / number | format}"),
        (text_place("a brace }"), 4, "a brace doubled"),
        (text_place("{latency: ../secret}"), 4, "is no path"),
        ("<!-- results: text\nfirst", 1, "no line --> ends the template"),
        (f"Title\n<!-- results: table claim -->\n{TEXT}", 2, "end --> does not follow"),
        ("<!-- results: table claim -->\nold", 1, "end --> does not follow"),
        ("<!-- results: tabel claim -->\n" + END, 1, "found 'tabel claim -->'"),
        ("<!-- results: -->\n" + END, 1, "a place begins with text, or table NAME -->"),
        ("Title\n" + END, 2, "found 'end -->'"),
        (f"<!--result table claim\n{END}", 1, "found 'table claim'"),
        (
            f"<!-- results: text {{claim: command}} -->\n{END}",
            1,
            "found 'text {claim: command}",
        ),
        ("<!-- results: table slowness -->\n" + END, 1, "slowness.json can't be read"),
        ('<!-- results: table claim task="ner" -->\n' + END, 1, "no comparison has"),
        ("<!-- results: table claim task -->\n" + END, 1, "fields are written"),
    ],
)
def test_place_that_cannot_be_made_is_named(text: str, line: int, told: str) -> None:
    with pytest.raises(InputError) as error:
        places(text, "README.md", RESULTS)
    assert str(error.value).startswith(f"README.md, line {line}: ")
    assert told in str(error.value)


def copied(name: str, folder: Path, **changed: Any) -> Path:
    document = json.loads((RESULTS / f"{name}.json").read_text("utf-8"))
    path = folder / f"{name}.json"
    path.write_text(json.dumps({**document, **changed}), "utf-8")
    return path


@pytest.mark.parametrize("mark", ["table claim -->", "text\n{claim: command}\n-->"])
@pytest.mark.parametrize(
    ("changed", "told"),
    [({"complete": False}, "interrupted or failed"), ({"schema": 2}, "has schema 2")],
)
def test_results_that_say_nothing_are_refused(
    tmp_path: Path, mark: str, changed: dict[str, Any], told: str
) -> None:
    copied("claim", tmp_path, **changed)
    with pytest.raises(InputError, match=told):
        places(f"<!-- results: {mark}\n{END}", "README.md", tmp_path)


def command(monkeypatch: pytest.MonkeyPatch, *words: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["figures_in_docs", *map(str, words)])
    with pytest.raises(SystemExit) as stop:
        figures_in_docs.run()
    return int(stop.value.code or 0)


def test_command_renews_documents_and_checks_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    copied("latency", folder)
    stale, other = tmp_path / "README.md", tmp_path / "other.md"
    stale.write_text(TEXT, "utf-8")
    other.write_text("No figures.\n", "utf-8")
    words = (stale, other, "--results", folder)

    assert command(monkeypatch, "--check", *words) == 1
    assert "README.md, line 4: is stale" in capsys.readouterr().err
    assert stale.read_text("utf-8") == TEXT
    assert command(monkeypatch, *words) == 0
    assert stale.read_text("utf-8") == renewed(TEXT)
    assert command(monkeypatch, "--check", *words) == 0
    assert capsys.readouterr().err.count("stale") == 0

    machine = {"cpu": "B", "cpus": 2, "system": "Linux", "python": "CPython", "packages": {}}
    copied("latency", folder, machine=machine)
    assert command(monkeypatch, "--check", *words) == 1
    assert sorted(os.listdir(tmp_path)) == ["README.md", "other.md", "results"]


def test_nothing_is_written_if_one_document_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good, wrong = tmp_path / "good.md", tmp_path / "wrong.md"
    good.write_text(TEXT, "utf-8")
    wrong.write_text("<!-- results: table -->", "utf-8")
    assert command(monkeypatch, good, wrong, "--results", RESULTS) == 2
    assert "wrong.md, line 1: " in capsys.readouterr().err
    assert good.read_text("utf-8") == TEXT


def documents() -> list[Path]:
    return [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]


def test_documents_are_up_to_date() -> None:
    stale = [
        f"{path.name}, line {place.line}"
        for path in documents()
        for place in places(path.read_text("utf-8"), path.name)
        if place.found != place.expected
    ]
    assert not stale, (
        "renew them: python -m distilroberta.bench.documents.figures_in_docs README.md docs/*.md"
    )


def test_every_result_is_complete_and_says_how_it_was_made() -> None:
    listed = (PROJECT / "results" / "README.md").read_text("utf-8")
    found = sorted((PROJECT / "results").glob("*.json"))
    assert {path.stem for path in found} >= MEASURED
    for path in found:
        run = results.read(path)
        assert run.complete, path.name
        assert run.command.startswith("distilroberta bench "), path.name
        assert not any(word in run.command for word in (" /", "=/")), "a path of one machine"
        assert run.revision, path.name
        assert not run.revision.endswith("+changes"), f"{path.name} is of a clone with changes"
        assert run.machine.cpu, path.name
        assert "onnxruntime" in run.machine.packages, path.name
        assert f"`{path.name}`" in listed, f"results/README.md does not say what {path.name} is"
