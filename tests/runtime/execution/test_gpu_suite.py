"""`make gpu` fails where CUDA does not start; other runs of its tests are skipped there."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from distilroberta.runtime import ProviderError

ROOT = Path(__file__).parents[3]


class NoGpu:
    """Stands for an artifact on a machine without a GPU."""

    def session(self, variant: str, provider: str) -> Any:
        raise ProviderError(f"provider {provider} did not start")


@pytest.fixture(scope="module")
def suite() -> ModuleType:
    """What the tests for GPUs share."""
    spec = importlib.util.spec_from_file_location("gpu_suite", ROOT / "tests/gpu/conftest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("provider", "required", "raised"),
    [
        ("cuda", "required", ProviderError),
        ("cuda", "", pytest.skip.Exception),
        ("tensorrt", "required", pytest.skip.Exception),
        ("tensorrt", "", pytest.skip.Exception),
    ],
)
def test_provider_that_does_not_start(
    suite: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    provider: str,
    required: str,
    raised: type[BaseException],
) -> None:
    monkeypatch.setenv("DISTILROBERTA_GPU", required)
    with pytest.raises(raised, match=f"provider {provider} did not start"):
        suite.started(NoGpu(), provider)


def test_make_requires_cuda() -> None:
    (line,) = [
        line for line in (ROOT / "Makefile").read_text().splitlines() if "-m gpu tests/gpu" in line
    ]
    assert line.strip().startswith("DISTILROBERTA_GPU=required ")
