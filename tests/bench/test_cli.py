from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from types import ModuleType
from typing import Any

import pytest

from distilroberta.bench import cli
from distilroberta.bench.cli import NAMES

# As the fixture gives it: words to the exit code, standard output and standard error.
Bench = Callable[..., tuple[int, str, str]]

# What `distilroberta bench --help` must do without: it comes with an extra, or takes its time.
HEAVY = {"scipy", "matplotlib", "torch", "transformers", "onnx", "optimum"}
PROBE = """\
import json, sys
from distilroberta.runtime.command_line import run
code = run(sys.argv[1:])
sys.stderr.write(json.dumps([code, [name for name in sys.modules if "." not in name]]))
"""


def _module(name: str) -> Any:
    return importlib.import_module(f"distilroberta.bench.{cli._COMMANDS[name].module}")


def test_the_list_has_every_command_and_what_it_answers(bench: Bench) -> None:
    code, printed, _ = bench("--help")
    assert code == 0
    lines = printed.splitlines()
    places = {}
    for name in NAMES:
        (place,) = (row for row, line in enumerate(lines) if line.startswith(f"│ {name} "))
        places[name] = place
        assert len(lines[place].strip("│").replace(name, "", 1).strip()) > 20, name
    assert list(places) == sorted(places, key=places.__getitem__)
    panels = [row for row, line in enumerate(lines) if line.startswith("╭")]
    titles = [lines[row].strip("╭╮─ ") for row in panels]
    assert titles == [
        "Options",
        "Questions",
        "Parts of the answer",
        "Other machines and environments",
    ]
    of = {name: sum(row < place for row in panels) - 1 for name, place in places.items()}
    assert [name for name, panel in of.items() if titles[panel] == "Questions"] == [
        "claim",
        "latency",
        "peers",
        "report",
    ]
    assert {name for name, panel in of.items() if titles[panel].startswith("Other")} == {
        "gpu",
        "peers-environment",
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_help_and_says_what_it_tells(name: str, bench: Bench) -> None:
    code, printed, _ = bench(name, "--help")
    assert code == 0
    said = " ".join(printed.split())
    assert f"distilroberta bench {name} [OPTIONS]" in said
    first, _, _ = (_module(name).main.__doc__ or "").partition("\n")
    assert len(first) > 20
    assert first in said


@pytest.mark.parametrize(
    "name", [name for name in NAMES if name not in ("report", "peers-environment")]
)
def test_every_benchmark_can_be_kept(name: str, bench: Bench) -> None:
    assert "--json" in bench(name, "--help")[1]


@pytest.mark.parametrize("name", NAMES)
def test_every_benchmark_is_called_what_its_results_say(name: str) -> None:
    assert getattr(_module(name), "NAME", name) == name


@pytest.mark.parametrize("words", [["--help"], ["bench", "--help"]])
def test_a_list_of_commands_needs_none_of_what_they_need(words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *words], capture_output=True, text=True, check=True
    )
    code, modules = json.loads(done.stderr)
    assert code == 0
    assert "bench" in done.stdout
    assert not HEAVY & set(modules)


def test_an_unknown_command_is_named(bench: Bench) -> None:
    code, _, said = bench("clam")
    assert code == 2
    assert "No such command 'clam'" in said


@pytest.mark.parametrize(
    ("error", "package"),
    [
        (ModuleNotFoundError("No module named 'scipy'", name="scipy"), "scipy"),
        (PackageNotFoundError("optimum-onnx"), "optimum-onnx"),
    ],
)
def test_a_package_that_is_missing_is_one_line(
    error: Exception, package: str, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> ModuleType:
        raise error

    expected = (
        f"distilroberta: this benchmark needs {package}, which comes with the bench extra: "
        "pip install 'distilroberta-onnx[bench]'"
    )
    with monkeypatch.context() as patched:
        patched.setattr(cli, "import_module", fails)
        assert bench("claim") == (2, "", expected)
    # Also where the command finds out as it runs.
    module = ModuleType("fake")
    module.main = lambda: fails()  # type: ignore[attr-defined]
    monkeypatch.setattr(cli, "import_module", lambda _: module)
    assert bench("claim") == (2, "", expected)


def test_a_module_of_ours_that_is_missing_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(name: str) -> ModuleType:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(cli, "import_module", fails)
    with pytest.raises(ModuleNotFoundError, match=r"distilroberta\.bench\.claim"):
        cli._load("claim")
