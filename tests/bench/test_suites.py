"""The suites under pytest-benchmark: a slice of them is run, saved, and compared with a second run.

How fast anything was is not looked at.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from distilroberta.bench.harness import machine
from distilroberta.bench.harness.revision import revision
from distilroberta.runtime.execution.cpu_limit import usable_cpus

PROJECT = Path(__file__).parents[2]
# Few, since what is measured is built first.
AGAIN = "claim and feature-extraction and int8 and roberta-base"
ONCE = "(claim and feature-extraction and int8) or (peers and text-classification and ours)"


def bench(storage: Path, chosen: str, *words: str) -> str:
    """Run some of the suites as a user does, but for short, and return what is printed."""
    # pytest-benchmark measures nothing where it thinks that pytest-xdist runs it.
    environment = {name: value for name, value in os.environ.items() if "XDIST" not in name}
    options = [f"--benchmark-storage={storage}", "--benchmark-max-time=0.02", "-k", chosen, *words]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "bench", "--benchmark-only", *options],
        cwd=PROJECT,
        env={**environment, "OMP_NUM_THREADS": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout
    return done.stdout + done.stderr


def saved(storage: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text("utf-8")) for path in sorted(storage.rglob("*.json"))]


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a first run was saved."""
    folder = tmp_path_factory.mktemp("benchmarks")
    bench(folder, ONCE, "--benchmark-autosave")
    return folder


def test_groups_are_named_by_task_and_shape(storage: Path) -> None:
    (run,) = saved(storage)
    groups: dict[str, list[str]] = {}
    for one in run["benchmarks"]:
        row = one["params"].get("model") or one["params"]["name"]
        groups.setdefault(one["group"], []).append(row)
    models = ["distilroberta", "roberta-base"]
    assert {group: sorted(rows) for group, rows in groups.items()} == {
        "claim, feature-extraction, int8, 128 tokens": models,
        "claim, feature-extraction, int8, 8 x 128 tokens": models,
        "peers, text-classification, 128 tokens": ["ours fp32", "ours int8"],
    }


def test_every_benchmark_says_what_was_measured_on_what(storage: Path) -> None:
    (run,) = saved(storage)
    here = machine.describe()
    digests: dict[tuple[str, int], set[str]] = {}
    for one in run["benchmarks"]:
        told = one["extra_info"]
        assert told["machine"]["cpu"] == here.cpu
        assert told["threads"] == usable_cpus()
        assert told["versions"]["onnxruntime"] == here.packages["onnxruntime"]
        assert "pytest-benchmark" in told["versions"]
        assert (told["revision"] is None) == (revision() is None)
        assert re.fullmatch("[0-9a-f]{64}", told["artifact"])
        task = one["group"].split(", ")[1]
        digests.setdefault((task, told["layers"]), set()).add(told["artifact"])
    # Each artifact is built once, and they are three.
    assert [len(found) for found in digests.values()] == [1, 1, 1]
    assert len(set.union(*digests.values())) == 3


def test_suites_say_how_to_measure_and_the_user_how_long(storage: Path) -> None:
    (run,) = saved(storage)
    for one in run["benchmarks"]:
        options = one["options"]
        assert options["disable_gc"] is True
        assert options["warmup"] == 3
        assert options["timer"] == "perf_counter"
        assert float(options["max_time"]) == 0.02
        assert one["stats"]["rounds"] >= 5


def test_saved_machine_is_ours_without_what_changes_from_run_to_run(storage: Path) -> None:
    (run,) = saved(storage)
    found = run["machine_info"]["distilroberta"]
    here = machine.describe()
    assert (found["cpu"], found["cpus"], found["packages"]) == (here.cpu, here.cpus, here.packages)
    assert "load" not in found
    assert not any(name.startswith("hz_actual") for name in run["machine_info"]["cpu"])


def test_second_run_is_compared_with_the_first(storage: Path) -> None:
    printed = bench(storage, AGAIN, "--benchmark-compare")
    assert "Comparing against benchmarks from" in printed
    assert "machine_info is different" not in printed
    for shape in ("128 tokens", "8 x 128 tokens"):
        assert f"benchmark 'claim, feature-extraction, int8, {shape}': " in printed
        test = re.escape(f"test_claim[feature-extraction-int8-{shape}-roberta-base]")
        assert re.search(rf"^{test} \(NOW\) ", printed, re.MULTILINE)
        assert re.search(rf"^{test} \(0001_\w+\) ", printed, re.MULTILINE)
