"""onnxruntime is imported without its telemetry, unless somebody asks for it.

What that comes to, a process without threads and without a network, is case 46 of
test_process_cases.py.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[3]
SHOW = """
import os
import distilroberta.runtime.execution.ort
print(os.environ.get("ORT_DISABLE_TELEMETRY"))
"""


@pytest.mark.parametrize(("asked", "kept"), [(None, "1"), ("0", "0"), ("1", "1")])
@pytest.mark.usefixtures("home")
def test_who_asks_for_it_keeps_it(
    monkeypatch: pytest.MonkeyPatch, asked: str | None, kept: str
) -> None:
    if asked is not None:
        monkeypatch.setenv("ORT_DISABLE_TELEMETRY", asked)
    command = [sys.executable, "-c", SHOW]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout == f"{kept}\n"


def test_all_of_the_runtime_takes_it_from_there() -> None:
    found = [path for path in (PROJECT / "runtime").rglob("*.py") if path.name != "ort.py"]
    assert len(found) > 20
    for path in found:
        lines = path.read_text("utf-8").splitlines()
        assert not [line for line in lines if line.startswith("import onnxruntime")], path.name
