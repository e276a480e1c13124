"""Providers that run on a GPU, for machines that have one.

With DISTILROBERTA_GPU=required, as `make gpu` sets it, a CUDA that does not start is a failure.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

from distilroberta.runtime import Artifact, ProviderError


def started(artifact: Artifact, provider: str) -> str:
    """Return a provider's name, where it starts; skip the test, or fail, where it does not."""
    try:
        artifact.session("fp32", provider=provider)
    except ProviderError as error:
        if provider == "cuda" and os.environ.get("DISTILROBERTA_GPU") == "required":
            raise
        pytest.skip(str(error))
    return provider


@pytest.fixture(scope="session")
def cuda(classifier_artifact: Artifact) -> str:
    """CUDA's name, where it starts."""
    return started(classifier_artifact, "cuda")


@pytest.fixture(scope="session")
def tensorrt(classifier_artifact: Artifact) -> str:
    """TensorRT's name, where it starts."""
    return started(classifier_artifact, "tensorrt")


@pytest.fixture(scope="session", params=["cuda", "tensorrt"])
def on_gpu(request: pytest.FixtureRequest) -> Any:
    """Each of the two."""
    return request.getfixturevalue(request.param)
