"""Each way to call a graph gives what the graph gives."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from distilroberta.runtime import Artifact, InputError
from distilroberta.runtime.execution import memory
from distilroberta.runtime.execution.graph_calls import (
    BoundCall,
    Call,
    CallInPieces,
    Feeds,
    ReleasingCall,
    calling,
)
from distilroberta.runtime.execution.provider_options import (
    CpuOptions,
    CudaOptions,
    TensorRTOptions,
)

LENGTH = 12


def feeds(rows: int, length: int = LENGTH) -> Feeds:
    """Token ids that differ, with a mask token in each second row, and no padding."""
    ids = np.random.default_rng(rows).integers(5, 300, (rows, length))
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}


@pytest.fixture(scope="module")
def session(tagger_artifact: Artifact) -> Any:
    """An onnxruntime session of one output with rows of the batch."""
    call = tagger_artifact.session("fp32", provider="cpu", threads=1)._call
    assert call is not None
    return call.session


@pytest.fixture(scope="module")
def two_outputs(answerer_artifact: Artifact) -> Any:
    """An onnxruntime session of two outputs."""
    call = answerer_artifact.session("fp32", provider="cpu", threads=1)._call
    assert call is not None
    return call.session


@pytest.fixture
def releases(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[None]]:
    """How many times memory was given back."""
    counted: list[None] = []
    monkeypatch.setattr(memory, "release", lambda: counted.append(None))
    return counted


@pytest.mark.parametrize("arena", [True, False])
def test_long_calls_give_memory_back(session: Any, releases: list[None], arena: bool) -> None:
    call = ReleasingCall(session, CpuOptions(), 4 * LENGTH)
    if not arena:
        call = ReleasingCall(session, CpuOptions(memory_arena=False), 4 * LENGTH)
    for rows, given_back in [(3, 0), (4, 1), (1, 1), (5, 2)]:
        (found,) = call(feeds(rows))
        np.testing.assert_array_equal(found, Call(session)(feeds(rows))[0])
        assert len(releases) == given_back


class Waiting:
    """A session in which a call of one row ends before one of two rows."""

    def __init__(self) -> None:
        self._began, self._ended = threading.Barrier(2), threading.Event()

    def get_outputs(self) -> list[Any]:
        return []

    def run(self, names: Any, given: Feeds, settings: Any) -> list[Any]:
        self._began.wait(10)
        if len(given["input_ids"]) == 2:
            self._ended.wait(10)
        return []


def test_of_calls_side_by_side_the_last_gives_memory_back(releases: list[None]) -> None:
    waiting = Waiting()
    call = ReleasingCall(waiting, CpuOptions(), 1)
    with ThreadPoolExecutor(2) as pool:
        longer, shorter = pool.submit(call, feeds(2)), pool.submit(call, feeds(1))
        shorter.result(10)
        assert releases == []
        waiting._ended.set()
        longer.result(10)
    assert len(releases) == 1


def test_a_call_that_fails_is_no_longer_counted(releases: list[None]) -> None:
    class Failing(Waiting):
        def run(self, names: Any, given: Feeds, settings: Any) -> list[Any]:
            raise RuntimeError("no")

    call = ReleasingCall(Failing(), CpuOptions(), 1)
    for _ in range(2):
        with pytest.raises(RuntimeError):
            call(feeds(1))
    assert len(releases) == 2


def test_memory_can_be_given_back_on_this_system() -> None:
    memory.release()


def test_arrays_bound_to_a_device(session: Any, two_outputs: Any) -> None:
    for one in (session, two_outputs):
        expected = Call(one)(feeds(3))
        found = BoundCall(one, "cpu", 0)(feeds(3))
        assert len(found) == len(expected)
        for pair in zip(found, expected, strict=True):
            np.testing.assert_array_equal(*pair)


@pytest.mark.parametrize("rows", [1, 3, 4, 8, 9])
def test_pieces_are_put_together_in_order(session: Any, two_outputs: Any, rows: int) -> None:
    options = TensorRTOptions(batches=(1, 2, 4), lengths=(1, 8, LENGTH))
    for one in (session, two_outputs):
        expected = Call(one)(feeds(rows))
        found = CallInPieces(one, options)(feeds(rows))
        assert len(found) == len(expected)
        for pair in zip(found, expected, strict=True):
            np.testing.assert_allclose(*pair, rtol=0, atol=1e-5)


def test_texts_longer_than_the_engine(session: Any) -> None:
    call = CallInPieces(session, TensorRTOptions(lengths=(1, 8, LENGTH)))
    with pytest.raises(InputError, match=rf"13 tokens are more than .* most are {LENGTH}; set"):
        call(feeds(1, LENGTH + 1))


def no_config() -> Any:
    pytest.fail("config.json is read where nothing of it is needed")


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        (CpuOptions(), ReleasingCall),
        (CpuOptions(release_tokens=None), Call),
        (CudaOptions(), Call),
        (CudaOptions(io_binding=True), BoundCall),
        (TensorRTOptions(), CallInPieces),
    ],
    ids=str,
)
def test_way_that_options_ask_for(session: Any, options: Any, kind: type[Call]) -> None:
    assert type(calling(session, options, no_config)) is kind
