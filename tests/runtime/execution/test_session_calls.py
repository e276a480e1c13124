"""One session, many threads, and too little memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from distilroberta.runtime import Artifact, InputError, OutOfMemoryError

IDS = np.array([[0, 17, 60, 33, 2], [0, 40, 41, 42, 2]])
MASK = np.ones_like(IDS)


@pytest.mark.parametrize(
    "said",
    [
        "Failed to allocate memory for requested buffer of size 1073741824",
        "CUDA failure 2: out of memory ; GPU=0",
        "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED",
        "std::bad_alloc",
    ],
)
def test_out_of_memory(
    classifier_artifact: Artifact, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    session = classifier_artifact.session("int8", provider="cpu", threads=1)
    expected = session.run(IDS, MASK)

    def fail(feeds: Any) -> Any:
        raise RuntimeError(f"[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : {said}")

    with monkeypatch.context() as patched:
        patched.setattr(session, "_call", fail)
        message = "provider cpu has not enough memory for 2 texts of 5 tokens: use a smaller batch"
        with pytest.raises(OutOfMemoryError, match=message):
            session.run(IDS, MASK)
    np.testing.assert_array_equal(session.run(IDS, MASK), expected)


def test_other_failures_are_not_called_so(classifier_artifact: Artifact) -> None:
    session = classifier_artifact.session("fp32", provider="cpu", threads=1)
    with pytest.raises(Exception, match="out of data bounds") as caught:
        session.run(np.full((1, 3), 10**6), np.ones((1, 3), np.int64))
    assert not isinstance(caught.value, OutOfMemoryError)


@pytest.mark.parametrize("threads", [0, -1, True, 1.5, "2", 1025, 10**12])
def test_threads_that_can_not_be(classifier_artifact: Artifact, threads: Any) -> None:
    with pytest.raises(InputError, match="threads must be a whole number from 1 to 1024, found "):
        classifier_artifact.session("int8", provider="cpu", threads=threads)


def test_threads_of_too_many_digits_to_show(classifier_artifact: Artifact) -> None:
    with pytest.raises(InputError, match="from 1 to 1024, found a value of type int"):
        classifier_artifact.session("int8", provider="cpu", threads=10**5000)
