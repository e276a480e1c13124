"""The tables that documents take from results files."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from distilroberta.bench.documents import markdown_tables
from distilroberta.bench.report import results
from distilroberta.bench.report.results import Run
from distilroberta.runtime.errors import InputError

RESULTS = Path(__file__).with_name("results")
MADE = (
    "Made by `distilroberta bench {} --rounds 7` at 5b3c6b2 on 2026-11-22: A Processor, 2 CPUs, "
    "2 threads, Linux x86_64, CPython 3.11.15, onnxruntime 1.31.1, numpy 2.3.5, random weights of "
    "DistilRoBERTa's shape."
)


def run_of(name: str) -> Run:
    return results.read(RESULTS / f"{name}.json")


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def rows(lines: list[str]) -> list[list[str]]:
    """Return the rows below each head."""
    found = [cells(line) for line in lines if line.startswith("| ")]
    heads = [place - 1 for place, row in enumerate(found) if row[0] == "---"]
    return [row for place, row in enumerate(found) if not {place, place - 1} & set(heads)]


def test_claim_has_a_ratio_for_every_cell_that_was_measured() -> None:
    lines = markdown_tables.table(run_of("claim"), {})
    head = ["task", "engine", "precision", "16 tokens", "8 x 128 tokens", "over all", "verdict"]
    assert cells(lines[0]) == head
    overall = ["1.75× (1.73–1.77)", "faster, not twice"]  # noqa: RUF001
    assert rows(lines)[:2] == [
        ["fill-mask", "ours", "fp32", "2.00× (1.98–2.02)", "1.53× (1.51–1.55)", *overall],  # noqa: RUF001
        ["fill-mask", "usual export", "fp32", "–", "1.50× (1.48–1.52)", *overall],  # noqa: RUF001
    ]
    assert len(rows(lines)) == 3


def test_peers_have_times_with_quartiles_and_how_many_times_as_fast_ours_are() -> None:
    lines = markdown_tables.table(run_of("peers"), {"level": "model"})
    assert rows(lines) == [
        ["fill-mask", "model", "ours int8", "5.00 (4.50–5.50)", "137 (123–151)"],  # noqa: RUF001
        ["fill-mask", "model", r"torch \| eager", "50.0 (45.0–55.0)", "1242 (1118–1366)"],  # noqa: RUF001
        ["fill-mask", "model", "OpenVINO INT8", "17.5 (15.8–19.2)", "–"],  # noqa: RUF001
        [
            *("fill-mask", "model", "ours int8", r"torch \| eager"),
            *("10.00× (9.98–10.02)", "9.07× (9.05–9.09)"),  # noqa: RUF001
        ],
        ["fill-mask", "model", "ours int8", "OpenVINO INT8", "3.50× (3.48–3.52)", "–"],  # noqa: RUF001
    ]


def test_latency_has_size_quality_speed_and_memory_of_every_variant() -> None:
    lines = markdown_tables.table(run_of("latency"), {"workloads": "8 x 128 tokens"})
    assert cells(lines[0]) == [
        *("variant", "file MB", "same top", "KL", "8 x 128 tokens: p50 / p99 ms, texts/s"),
        *("cold start s", "MB", "peak MB"),
    ]
    assert rows(lines) == [
        [
            *("int8 on cpu", "85.1", "97.8 %", "0.0021", "10.0 / 12.3, 100"),
            *("0.390 (0.350–0.400)", "195", "260"),  # noqa: RUF001
        ],
        ["int4 on cpu", "85.1", "–", "–", "–", "–", "195", "–"],  # noqa: RUF001
    ]


@pytest.mark.parametrize("name", ["claim", "peers", "latency"])
def test_table_is_one_of_github_and_ends_with_how_it_was_made(name: str) -> None:
    lines = markdown_tables.table(run_of(name), {})
    assert lines[-1] == MADE.format(name)
    page = MarkdownIt("commonmark").enable("table").render("\n".join(lines))
    measured = {"claim": 3, "peers": 10, "latency": 2}[name]
    heads = page.count("<thead>")
    assert page.count("<tr>") == measured + heads
    told = {"claim": 1, "peers": 2, "latency": 1}[name]  # what is no table is a paragraph
    assert page.count("<p>") == told


def test_what_disturbed_the_run_is_told() -> None:
    disturbed = dataclasses.replace(run_of("claim"), warnings=("other processes were busy",))
    assert markdown_tables.origin(disturbed).endswith(" Warning: other processes were busy.")


def test_reasons_for_what_was_not_measured_are_told() -> None:
    (*_, missing, _, _) = markdown_tables.table(run_of("peers"), {"level": "model"})
    assert missing == (
        "Not measured: OpenVINO BF16 (it ends with an error); "
        "OpenVINO INT8, fill-mask, 8 x 128 tokens (its process ended)."
    )


def written(tmp_path: Path, name: str, change: Callable[[dict[str, Any]], None]) -> Run:
    document = json.loads((RESULTS / f"{name}.json").read_text("utf-8"))
    change(document)
    path = tmp_path / f"{name}.json"
    path.write_text(json.dumps(document), "utf-8")
    return results.read(path)


def test_what_a_claim_left_out_is_told(tmp_path: Path) -> None:
    def change(document: dict[str, Any]) -> None:
        document["left_out"] = {"feature-extraction, usual export": "the export failed"}
        document["comparisons"][1]["engines"][1]["failed"] = {"16 tokens": "needs 21 GB"}

    (*_, missing, _, _) = markdown_tables.table(written(tmp_path, "claim", change), {})
    assert missing == (
        "Not measured: feature-extraction, usual export (the export failed); "
        "roberta-base, fill-mask, usual export, 16 tokens (needs 21 GB)."
    )


def test_ratios_with_a_warning_are_marked(tmp_path: Path) -> None:
    def warn(document: dict[str, Any]) -> None:
        ratios = document["comparisons"][0]["ratios"]
        ratios[0]["warning"] = "the interval is wider than the difference"
        ratios[1].update(verdict="unclear", warning="3 rounds are too few")

    lines = markdown_tables.table(written(tmp_path, "peers", warn), {"level": "model"})
    marked = ["10.00× (9.98–10.02) ?", "9.07× (9.05–9.09) unclear ?"]  # noqa: RUF001
    assert rows(lines)[3][4:] == marked
    means = "?: a difference of too few rounds, or one that the interval is wider than; "
    means += "an interval that holds 1 shows no difference."
    assert means in lines
    assert means not in markdown_tables.table(run_of("peers"), {})

    def warn_of_a_cell(document: dict[str, Any]) -> None:
        document["comparisons"][0]["cells"][0]["warning"] = "the interval is wide"

    lines = markdown_tables.table(written(tmp_path, "claim", warn_of_a_cell), {})
    assert rows(lines)[0][3] == "2.00× (1.98–2.02) ?"  # noqa: RUF001
    assert means in lines


def test_comparisons_and_workloads_are_chosen() -> None:
    choice = {"task": "fill-mask", "engine": "ours", "workloads": "8 x 128 tokens; 16 tokens"}
    lines = markdown_tables.table(run_of("claim"), choice)
    assert cells(lines[0])[3:5] == ["8 x 128 tokens", "16 tokens"]
    (row,) = rows(lines)
    short = markdown_tables.table(run_of("claim"), {"workloads": ""})
    assert cells(short[0]) == ["task", "engine", "precision", "over all", "verdict"]
    assert row[3:5] == ["1.53× (1.51–1.55)", "2.00× (1.98–2.02)"]  # noqa: RUF001


@pytest.mark.parametrize(
    ("name", "choice", "told"),
    [
        ("claim", {"task": "ner"}, "no comparison has {'task': 'ner'}"),
        ("claim", {"colour": "red"}, "no comparison has {'colour': 'red'}"),
        ("peers", {"workloads": "16 tokens; 17 tokens"}, "workload '17 tokens' was not measured"),
        ("latency", {"task": "fill-mask"}, "takes nothing but workloads"),
    ],
)
def test_choice_of_nothing_is_refused(name: str, choice: dict[str, str], told: str) -> None:
    with pytest.raises(InputError) as error:
        markdown_tables.table(run_of(name), choice)
    assert told in str(error.value)


def test_benchmark_without_a_table_is_refused() -> None:
    overhead = dataclasses.replace(run_of("claim"), benchmark="overhead", found=None)
    with pytest.raises(InputError, match="no table of overhead"):
        markdown_tables.table(overhead, {})
