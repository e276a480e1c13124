"""Reading results files: what is taken, and the one line that says what is wrong with others."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distilroberta.bench.report.claim import ClaimResults
from distilroberta.bench.report.gpu import GpuResults
from distilroberta.bench.report.latency import LatencyResults
from distilroberta.bench.report.results import read, read_all
from distilroberta.runtime.errors import InputError

Document = dict[str, Any]
NOT_THERE = object()


def set_in(document: Document, path: str, value: Any) -> Document:
    """Return a copy with one field replaced, `comparisons.0.task`, or taken out."""
    found = json.loads(json.dumps(document))
    *outer, last = path.split(".")
    inner = found
    for name in outer:
        inner = inner[int(name) if isinstance(inner, list) else name]
    if value is NOT_THERE:
        del inner[last]
    else:
        inner[int(last) if isinstance(inner, list) else last] = value
    return found


def test_what_is_read(documents: dict[str, Document], all_results: list[Path]) -> None:
    first, peers, latency, gpu, cold_start = read_all(all_results)
    assert (first.file, first.benchmark, first.threads) == ("claim.json", "claim", 2)
    assert first.machine.packages == {"onnxruntime": "1.31.1", "numpy": "2.4.6"}
    assert isinstance(first.found, ClaimResults)
    cell = first.found.claims[1].cells[3]
    written = documents["claim"]["comparisons"][1]["cells"][3]
    assert (cell.workload, cell.rows, cell.tokens) == ("8 x 128 tokens", 8, 128)
    assert cell.ratio is not None
    assert cell.ratio.estimate == written["ratio"]["estimate"]
    assert first.found.claims[1].expected == pytest.approx(1.53)
    assert peers.benchmark == "peers"
    assert isinstance(latency.found, LatencyResults)
    assert latency.found.variants[1].same_top == 0.978
    assert cold_start.seconds == 812.3
    assert first.found.left_out == {
        "feature-extraction, usual export": "the export ended with an error"
    }
    assert cell.ratio.rounds == 7
    assert isinstance(gpu.found, GpuResults)
    assert gpu.found.device == "Imaginary GPU, compute capability 9.0"


def test_a_file_named_twice_is_read_once(all_results: list[Path]) -> None:
    assert len(read_all([*all_results, *all_results])) == len(all_results)


def test_files_of_one_name_are_called_by_their_folders(
    all_results: list[Path], tmp_path: Path
) -> None:
    first, second = all_results[:2]
    paths = [first, second]
    for folder in ("one/xeon", "two/xeon"):
        paths.append(tmp_path / folder / first.name)
        paths[-1].parent.mkdir(parents=True)
        paths[-1].write_bytes(first.read_bytes())
    called = [run.file for run in read_all(paths[:3])]
    assert called == [f"{first.parent.name}/claim.json", "peers.json", "xeon/claim.json"]
    with pytest.raises(InputError, match=r"two results files are called xeon/claim\.json"):
        read_all(paths)


@pytest.mark.parametrize("kind", ["throughput", "memory", "import"])
def test_other_benchmarks_are_named(
    kind: str, documents: dict[str, Document], write: Callable[..., Path]
) -> None:
    document = {**documents["cold-start"], "benchmark": kind, "verdict": "it is enough"}
    run = read(write(document))
    assert (run.found, run.verdict) == (None, "it is enough")
    del document["verdict"]
    assert read(write(document)).verdict is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no results file, it is not JSON"),
        (b"\xff", "is no results file, it is not JSON"),
        (b'{"schema": 1', "is no results file, it is not JSON"),
        (b'{"schema": NaN}', "NaN is not JSON"),
        (b"[" * 100_000, "is no results file, it is not JSON"),
        (b'{"schema": 1, "benchmark": "\\ud800"}', "is no results file, it is not JSON"),
        (b"[1]", r"must be an object, found \[1\]"),
        (b"{}", "is no results file, it has no 'schema' and 'benchmark'"),
        (b'{"benchmarks": [], "version": "5"}', "it has no 'schema' and 'benchmark'"),
        (b'{"schema": 2, "benchmark": "claim"}', "has schema 2; this release reads 1. Update"),
        (b'{"schema": "1", "benchmark": "claim"}', "'schema' must be a whole number"),
        (b'{"schema": 1, "benchmark": "speed"}', "'benchmark' must be one of claim, peers"),
        (b'{"schema": 1, "benchmark": "claim"}', "'verdict' must|'complete' must be true or false"),
    ],
)
def test_files_that_are_none(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=said) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.json can't be read: No such file"):
        read(tmp_path / "none.json")
    with pytest.raises(InputError, match="can't be read: Is a directory"):
        read(tmp_path)


HUGE = 10**400
BROKEN = [
    ("claim", "complete", "yes", "'complete' must be true or false, found 'yes'"),
    ("claim", "machine", None, "'machine' must be an object, found None"),
    ("claim", "machine.cpus", 2.5, "'machine': 'cpus' must be a whole number from 0 up, found 2.5"),
    ("claim", "warnings", ["a", 1], "'warnings' must be a list of strings"),
    ("claim", "threads", True, "'threads' must be a whole number"),
    ("claim", "seconds", HUGE, "'seconds' must be a number"),
    ("claim", "verdict", 1, "'verdict' must be a string, found 1"),
    ("claim", "comparisons", NOT_THERE, "'comparisons' must be a list, found nothing"),
    ("claim", "comparisons.1", 7, r"'comparisons'\[1\] must be an object, found 7"),
    ("claim", "comparisons.1.overall.ratio", 1.5, "'overall': 'ratio' must be an object"),
    ("claim", "comparisons.0.cells.2.ratio.low", 9, "'estimate' must be between 'low' and 'high'"),
    ("claim", "comparisons.0.cells.2.ratio.estimate", -1, "'estimate' must be above 0, found -1"),
    ("claim", "comparisons.0.cells.2.ratio.rounds", 0, "'rounds' must be 1 or more, found 0"),
    ("claim", "comparisons.0.cells.2.ratio.rounds", NOT_THERE, "'rounds' must be a whole number"),
    ("claim", "comparisons.0.checked", ["16 tokens", 2], "'checked' must be a list of strings"),
    ("claim", "left_out", ["fill-mask"], "'left_out' must be an object"),
    ("claim", "comparisons.0.cells.2.expected", 0, "'expected' must be above 0"),
    ("claim", "comparisons.0.workloads.0.tokens", 0, "'tokens' must be 1 or more"),
    ("peers", "comparisons.0.engines.0.file_bytes", -1, "'file_bytes' must be a whole number"),
    ("peers", "comparisons.0.engines.0.failed", {"a": 1}, "'failed': 'a' must be a string"),
    ("peers", "comparisons.0.engines.0.workloads", {"x": {}}, "among the comparison's workloads"),
    ("peers", "comparisons.0.engines.0.workloads.16 tokens.ms.median", 0, "must be above 0"),
    ("peers", "comparisons.0.engines.0.workloads.16 tokens.rounds_ms", [0], "numbers above 0"),
    ("peers", "comparisons.0.ratios.0.ratio", None, "'ratio' must be an object, found None"),
    ("peers", "comparisons.0.ratios.0.warning", 1, "'warning' must be a string, found 1"),
    ("latency", "ratios", NOT_THERE, "'ratios' must be a list, found nothing"),
    ("latency", "gpu", {"name": "a GPU"}, "'gpu': 'capability' must be a string, found nothing"),
    ("gpu", "device", None, "'device' must be a string, found None"),
    ("gpu", "comparison", None, "'comparison' must be an object, found None"),
    ("latency", "artifact", "sst2", "'artifact' must be an object, found 'sst2'"),
    ("latency", "ratios.0.verdict", 1, "'verdict' must be a string, found 1"),
    ("latency", "variants.0.workloads.16 tokens.p50_ms", "2", "'p50_ms' must be a number"),
    ("cold-start", "engines.transformers.seconds", None, "'seconds' must be an object"),
]


@pytest.mark.parametrize(("kind", "place", "value", "said"), BROKEN)
def test_fields_that_are_wrong(
    kind: str,
    place: str,
    value: Any,
    said: str,
    documents: dict[str, Document],
    write: Callable[..., Path],
) -> None:
    path = write(set_in(documents[kind], place, value))
    with pytest.raises(InputError, match=said) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert re.fullmatch(r"[^\n]{1,400}", str(caught.value))


def test_what_was_not_measured_may_be_missing(
    documents: dict[str, Document], write: Callable[..., Path]
) -> None:
    document = documents["peers"]
    for name in ("file_bytes", "load_seconds", "resident_bytes_after", "peak_bytes", "failed"):
        document = set_in(document, f"comparisons.0.engines.0.{name}", NOT_THERE)
    for name in ("threads", "weights", "revision"):
        document = set_in(document, name, None)
    run = read(write(document))
    assert run.threads is None
    engine = run.found.comparisons[0].comparison.engines[0]  # type: ignore[union-attr]
    assert engine.resident_bytes == 420_000_000  # after loading
    assert (engine.file_bytes, engine.peak_bytes, engine.failed) == (None, None, {})


def test_a_run_that_was_killed_may_have_no_ratios(
    documents: dict[str, Document], write: Callable[..., Path]
) -> None:
    document = set_in(set_in(documents["latency"], "ratios", NOT_THERE), "complete", False)
    found = read(write(document)).found
    assert isinstance(found, LatencyResults)
    assert found.ratios == ()


def test_a_cell_that_was_not_measured_has_the_reason_of_its_engine(
    documents: dict[str, Document], write: Callable[..., Path]
) -> None:
    document = set_in(documents["claim"], "comparisons.2.cells.3.ratio", None)
    document = set_in(document, "comparisons.2.cells.3.expected", None)
    failed = {"8 x 128 tokens": "needs 21 GB"}
    document = set_in(document, "comparisons.2.engines.1.failed", failed)
    found = read(write(document)).found
    assert isinstance(found, ClaimResults)
    claim = found.claims[2]
    assert claim.cells[3].reason == "roberta-base: needs 21 GB"
    # Of the others, as the ratio is.
    assert claim.expected == pytest.approx(1.91 * 1.02)
