"""Who may import whom, and what importing the runtime brings along."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
PARTS = ("runtime", "quantize", "export", "bench")

# The parts a part may import besides itself.
ALLOWED = {
    "runtime": set(),
    "quantize": {"runtime"},
    "export": {"runtime", "quantize"},
    "bench": {"runtime", "quantize", "export"},
}
RUNTIME_NEEDS = {"numpy", "onnxruntime", "tokenizers"}
COMMAND_LINE_NEEDS = {"typer", "rich"}
COMMAND_LINE = {"cli.py", "command_line.py"}

UNWANTED = {
    *("torch", "transformers", "onnx", "optimum", "safetensors", "typer", "rich"),
    *("huggingface_hub", "requests", "httpx", "distilroberta.export", "distilroberta.quantize"),
}

PROBE = """\
import json, sys, threading
import distilroberta.runtime
assert "tokenizers" not in sys.modules, "pipelines are imported when they are needed"
distilroberta.runtime.FillMaskPipeline
print(json.dumps([sorted(sys.modules), threading.active_count()]))
"""


def sources(part: str) -> list[Path]:
    return sorted((PROJECT / part).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Yield the full names of all that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            # `from distilroberta import export` names the part behind the import.
            yield from (f"{node.module}.{name.name}" for name in node.names)


@pytest.mark.parametrize("part", PARTS)
def test_part_imports_only_the_parts_it_may(part: str) -> None:
    assert sources(part), f"{part} holds no Python"
    for path in sources(part):
        own = [name.split(".") for name in imports(path) if name.split(".")[0] == "distilroberta"]
        assert {name[1] for name in own} <= {part, *ALLOWED[part]}, path


def test_runtime_imports_only_what_an_application_installs() -> None:
    for path in sources("runtime"):
        found = {name.split(".")[0] for name in imports(path)} - {"distilroberta"}
        allowed = RUNTIME_NEEDS | (COMMAND_LINE_NEEDS if path.name in COMMAND_LINE else set())
        assert found - allowed <= set(sys.stdlib_module_names), path


def test_the_check_sees_every_kind_of_import(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text("import a.b\ndef f():\n    from c import d\n    import e as g\n", "utf-8")
    assert list(imports(path)) == ["a.b", "c.d", "e"]


@pytest.fixture(scope="module")
def fresh_import() -> tuple[set[str], int]:
    """Import the runtime in a process of its own; return the modules and the number of threads."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1, "importing printed something"
    modules, threads = json.loads(done.stdout)
    return set(modules), threads


def test_importing_the_runtime_loads_nothing_heavy(fresh_import: tuple[set[str], int]) -> None:
    modules, _ = fresh_import
    assert modules >= {"distilroberta.runtime", *RUNTIME_NEEDS}
    assert not modules & UNWANTED
    assert not {f"distilroberta.runtime.{Path(name).stem}" for name in COMMAND_LINE} & modules


def test_importing_the_runtime_starts_no_thread(fresh_import: tuple[set[str], int]) -> None:
    assert fresh_import[1] == 1
