"""`distilroberta bench report`: what is written, and what is left alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distilroberta.bench.errors import BenchError
from distilroberta.bench.harness import whole_file
from distilroberta.bench.report import output
from distilroberta.bench.report.command import main
from distilroberta.runtime.errors import InputError


@pytest.fixture
def results(document: Callable[..., Any], write: Callable[..., Path]) -> list[Path]:
    return [write(document("cold-start"))]


def run(results: list[Path], page: Path, **options: Any) -> None:
    given = {"figures": None, "markdown_path": None, "force": False, **options}
    main(results, page, **given)


def test_all_outputs(results: list[Path], tmp_path: Path) -> None:
    page, text, figures = tmp_path / "r.html", tmp_path / "r.md", tmp_path / "new" / "figures"
    run(results, page, figures=figures, markdown_path=text)
    assert page.read_text("utf-8").startswith("<!doctype html>")
    assert text.read_text("utf-8").startswith("<!-- distilroberta bench report -->")
    assert [path.name for path in figures.iterdir()] == ["cold-start.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("cold-start.json", "new", "r.html", "r.md")
    ]
    before = {path: path.read_bytes() for path in (page, text, figures / "cold-start.png")}
    run(results, page, figures=figures, markdown_path=text)
    assert {path: path.read_bytes() for path in before} == before


def test_the_same_bytes_from_another_process(
    document: Callable[..., Any], write: Callable[..., Path], tmp_path: Path
) -> None:
    # It has figures of all kinds but ratios, and the cold start's own.
    latency = write(document("latency", batches=(1,), lengths=(16, 128)))
    page, other = tmp_path / "here.html", tmp_path / "there.html"
    run([latency], page)
    code = (
        "import sys; from pathlib import Path; from distilroberta.bench.report.command import main;"
        "main([Path(sys.argv[1])], Path(sys.argv[2]), None, None, False)"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"}
    subprocess.run(
        [sys.executable, "-c", code, str(latency), str(other)],
        check=True,
        capture_output=True,
        env=environment,
        timeout=60,
    )
    assert page.read_bytes() == other.read_bytes()


def test_other_files_are_left_alone(results: list[Path], tmp_path: Path) -> None:
    page = tmp_path / "mine.html"
    page.write_text("<!doctype html><p>mine", "utf-8")
    with pytest.raises(InputError, match=r"mine\.html is there and is no report; .* --force"):
        run(results, page)
    figures = tmp_path / "figures"
    figures.mkdir()
    (figures / "cold-start.png").write_bytes(b"a drawing")
    with pytest.raises(InputError, match=r"cold-start\.png is there and is no report"):
        run(results, tmp_path / "new.html", figures=figures)
    assert not (tmp_path / "new.html").exists()
    run(results, page, figures=figures, force=True)
    assert "<h1>" in page.read_text("utf-8")


def test_outputs_that_can_not_be(results: list[Path], tmp_path: Path) -> None:
    page = tmp_path / "r.html"
    with pytest.raises(InputError, match="two outputs are one file"):
        run(results, page, markdown_path=tmp_path / "." / "r.html")
    with pytest.raises(InputError, match="is one of the results"):
        run(results, results[0], force=True)
    with pytest.raises(InputError, match="must be a file in a folder that is there"):
        run(results, tmp_path / "none" / "r.html")
    with pytest.raises(InputError, match="must be a file in a folder that is there"):
        run(results, tmp_path)
    with pytest.raises(InputError, match="no folder can be made there"):
        run(results, page, figures=results[0] / "figures")
    assert not page.exists()


def test_a_broken_file_leaves_nothing(results: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("{", "utf-8")
    with pytest.raises(InputError, match=r"broken\.json is no results file") as caught:
        run([*results, broken], tmp_path / "r.html")
    assert caught.value.exit_code == 2
    assert not (tmp_path / "r.html").exists()


def test_what_can_not_be_written_is_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "r.html"
    path.write_bytes(b"before")

    def refuse(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(whole_file.os, "replace", refuse)
    with pytest.raises(BenchError, match=r"r\.html could not be written: No space left"):
        output.write({path: b"after"})
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]
