"""A session goes on in processes that are forked from the one that loaded it."""

from __future__ import annotations

import gc
import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distilroberta.runtime import Artifact, ArtifactError, ProviderError
from distilroberta.runtime.execution.provider_options import CudaOptions

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    # Python warns of what is tested here.
    pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"),
]

SECONDS = 20

# See `in_child` in conftest.py.
InChild = Callable[[Callable[[], None]], None]
IDS = np.array([[0, 17, 60, 33, 2], [0, 40, 41, 42, 2]])
MASK = np.ones_like(IDS)
# Loads, forks, and ends the child as an interpreter ends.
SCRIPT = """
import ctypes, os, signal, sys
import numpy as np
from distilroberta.runtime import Artifact

session = Artifact(sys.argv[1]).session("int8", provider="cpu", threads=2)
ids = np.array([[0, 17, 60, 33, 2]])
expected = session.run(ids, np.ones_like(ids))
fork = os.fork if sys.argv[3] == "Python" else ctypes.PyDLL(None).fork
child = fork()
if child == 0:
    signal.alarm(20)
    if sys.argv[2] == "run":
        assert np.array_equal(session.run(ids, np.ones_like(ids)), expected)
    if sys.argv[2] == "drop":
        del session
    sys.exit(7)
assert os.waitpid(child, 0)[1] == 7 << 8, "the child did not end by itself"
"""


@pytest.fixture
def session(classifier_artifact: Artifact) -> Any:
    """A session of two threads that has run."""
    made = classifier_artifact.session("int8", provider="cpu", threads=2)
    made.run(IDS, MASK)
    return made


def test_child_answers_as_its_parent(session: Any, in_child: InChild) -> None:
    expected = session.run(IDS, MASK)

    def answer() -> None:
        for _ in range(2):
            np.testing.assert_array_equal(session.run(IDS, MASK), expected)

    in_child(answer)
    np.testing.assert_array_equal(session.run(IDS, MASK), expected)


def test_child_of_a_child(session: Any, in_child: InChild) -> None:
    expected = session.run(IDS, MASK)

    def answer() -> None:
        np.testing.assert_array_equal(session.run(IDS, MASK), expected)

    in_child(lambda: in_child(answer))


def test_child_that_only_drops_the_session(session: Any, in_child: InChild) -> None:
    holder = [session]
    del session

    def drop() -> None:
        holder.clear()
        gc.collect()

    in_child(drop)


@pytest.mark.parametrize(
    ("what", "by"), [("run", "Python"), ("drop", "Python"), ("nothing", "Python"), ("run", "C")]
)
def test_child_that_ends_as_an_interpreter_ends(
    classifier_artifact: Artifact, what: str, by: str
) -> None:
    """A fork by C code runs no hooks of Python's."""
    command = [sys.executable, "-c", SCRIPT, str(classifier_artifact.path), what, by]
    subprocess.run(command, check=True, timeout=3 * SECONDS)


def test_threads_of_a_child_open_it_once(session: Any, in_child: InChild) -> None:
    expected = session.run(IDS, MASK)

    def answer() -> None:
        calls: list[Any] = []

        def one() -> None:
            np.testing.assert_array_equal(session.run(IDS, MASK), expected)
            calls.append(session._call)

        threads = [threading.Thread(target=one) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(calls) == 8
        assert len(set(map(id, calls))) == 1

    in_child(answer)


def test_fork_while_other_threads_run(session: Any, in_child: InChild) -> None:
    expected = session.run(IDS, MASK)
    stop = threading.Event()

    def keep_running() -> None:
        while not stop.is_set():
            session.run(IDS, MASK)

    threads = [threading.Thread(target=keep_running) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            in_child(lambda: np.testing.assert_array_equal(session.run(IDS, MASK), expected))
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _answer(queue: Any, session: Any) -> None:
    queue.put(session.run(IDS, MASK))


def test_multiprocessing(session: Any) -> None:
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    workers = [context.Process(target=_answer, args=(queue, session)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for _ in workers:
        np.testing.assert_array_equal(queue.get(timeout=SECONDS), session.run(IDS, MASK))
    for worker in workers:
        worker.join(SECONDS)
        assert worker.exitcode == 0


def test_graph_that_was_changed_meanwhile(
    classifier_artifact: Artifact, tmp_path: Path, in_child: InChild
) -> None:
    folder = Path(shutil.copytree(classifier_artifact.path, tmp_path / "artifact"))
    artifact = Artifact(folder)
    session = artifact.session("int8", provider="cpu", threads=1)
    graph = folder / artifact.variant("int8").graph
    content = bytearray(graph.read_bytes())
    content[len(content) // 2] ^= 1
    graph.write_bytes(content)

    def refuse() -> None:
        with pytest.raises(ArtifactError, match="was changed since it was loaded"):
            session.run(IDS, MASK)

    in_child(refuse)


def test_gpu_can_not_be_used_in_a_fork(session: Any, in_child: InChild) -> None:
    session.options = CudaOptions()

    def refuse() -> None:
        with pytest.raises(ProviderError, match="provider cuda can't be used in a process that"):
            session.run(IDS, MASK)

    in_child(refuse)
