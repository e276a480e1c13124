"""The suites of `bench/` run; what they measure is not looked at."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from distilroberta.runtime import layout

PROJECT = Path(__file__).parents[2]


def test_every_variant_is_measured() -> None:
    """Each once, at the shortest length."""
    words = ["-m", "pytest", "bench", "--benchmark-disable", "-q", "-k", "not 128 and not 512"]
    done = subprocess.run(
        [sys.executable, *words],
        cwd=PROJECT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert f"{len(layout.VARIANTS)} passed" in done.stdout
    assert "skipped" not in done.stdout
