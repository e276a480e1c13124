"""What processes and their threads do to a pipeline, case by case.

The numbers are those of the project's list of faults, of which 43 to 46 are about processes.
Sessions alone, without tokenizers, are in test_session_calls.py, test_forked.py and
test_pickling.py.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distilroberta.runtime import Artifact, ArtifactError, CpuOptions, pipeline

# See `in_child` in conftest.py.
InChild = Callable[[Callable[[], None]], None]

SECONDS = 20
TEXTS = [" ".join(["The dog barked at"] + ["a stranger"] * count) for count in range(40)]
MASKED = "Paris is the <mask> of France."
WITHOUT_NETWORK = Path(__file__).parents[2] / "without_network.py"

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
# Python warns of what is tested here.
on_purpose = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")


@pytest.fixture(scope="module")
def classify(classifier_artifact: Artifact) -> Any:
    """A pipeline of two threads that has answered."""
    pipe = pipeline(None, classifier_artifact, variant="fp32", provider="cpu", threads=2)
    pipe(TEXTS)
    return pipe


def test_case_43_threads_share_a_pipeline(classify: Any) -> None:
    expected = [classify(text) for text in TEXTS]
    settings = classify.tokenizer._tokenizer.to_str()
    with ThreadPoolExecutor(32) as pool:
        found = list(pool.map(classify, TEXTS * 5))
    assert found == expected * 5, "bit for bit as one after the other"
    assert classify.tokenizer._tokenizer.to_str() == settings, "truncation and padding are set once"


@pytest.mark.parametrize("tokens", [None, 20], ids=["memory kept", "memory given back"])
def test_case_43_threads_share_a_session(classifier_artifact: Artifact, tokens: int | None) -> None:
    options = CpuOptions(release_tokens=tokens)
    session = classifier_artifact.session("fp32", provider=options, threads=2)
    rng = np.random.default_rng(0)
    shapes = [(1, 3), (2, 9), (4, 30), (1, 60)] * 16
    batches = [rng.integers(5, 300, shape) for shape in shapes]
    expected = [session.run(ids, np.ones_like(ids)) for ids in batches]
    with ThreadPoolExecutor(32) as pool:
        found = list(pool.map(lambda ids: session.run(ids, np.ones_like(ids)), batches))
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def answers_alike(pipe: Any, expected: Any) -> None:
    """A text alone is answered bit for bit; in a batch it is padded."""
    assert pipe(TEXTS[0]) == expected[0]
    for found, (wanted,) in zip(pipe(TEXTS), expected, strict=True):
        assert found["label"] == wanted["label"]
        assert found["score"] == pytest.approx(wanted["score"], rel=0, abs=1e-6)


@forks
@on_purpose
def test_case_44_child_answers_as_its_parent(classify: Any, in_child: InChild) -> None:
    """Session and tokenizer were used before the fork, with threads that the child lacks."""
    expected = [classify(text) for text in TEXTS]
    for _ in range(2):
        in_child(lambda: answers_alike(classify, expected))
    answers_alike(classify, expected)


@forks
@on_purpose
def test_case_44_workers_of_a_pool(classify: Any) -> None:
    expected = [classify(text) for text in TEXTS[:6]]
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map_async(classify, TEXTS[:6]).get(SECONDS) == expected


@pytest.fixture
def copied(classifier_artifact: Artifact, tmp_path: Path) -> Artifact:
    """An artifact that a test may change."""
    return Artifact(shutil.copytree(classifier_artifact.path, tmp_path / "artifact"))


def loads(travelled: bytes) -> Any:
    return pickle.loads(travelled)  # noqa: S301, it was made here


def test_case_45_pickled_copy_answers_alike(classifier_artifact: Artifact) -> None:
    pipe = pipeline(None, classifier_artifact, variant="fp32", threads=1, top_k=2)
    travels = pickle.dumps(pipe)
    copy = loads(travels)
    assert copy("the dog") == pipe("the dog")
    assert (copy.variant, copy.session.threads) == ("fp32", 1)
    assert len(travels) < 10_000, "not the weights"


@pytest.mark.parametrize("name", ["onnx/model_quantized.onnx", "tokenizer.json", "config.json"])
def test_case_45_artifact_that_was_changed_is_refused(copied: Artifact, name: str) -> None:
    travels = pickle.dumps(pipeline(None, copied, variant="int8", provider="cpu"))
    content = bytearray((copied.path / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copied.path / name).write_bytes(content)
    with pytest.raises(ArtifactError, match=name):
        loads(travels)


def test_case_45_another_artifact_in_its_place_is_refused(
    copied: Artifact, mini_artifact: Artifact
) -> None:
    travels = pickle.dumps(pipeline(None, copied, variant="int8", provider="cpu"))
    shutil.rmtree(copied.path)
    shutil.copytree(mini_artifact.path, copied.path)
    with pytest.raises(ArtifactError, match="is not the artifact that was pickled: its manifest"):
        loads(travels)


# What an import brings and, where an artifact is named, a first answer. numpy starts threads of its
# own as it is imported; after an answer there are those of the session.
FRESH = """
import os, sys
import numpy
before = len(os.listdir("/proc/self/task"))
import distilroberta.runtime
started = len(os.listdir("/proc/self/task")) - before
if len(sys.argv) > 1:
    answer = distilroberta.runtime.pipeline(None, sys.argv[1], provider="cpu")(sys.argv[2])
    print(answer[0]["token_str"])
else:
    import json
    heavy = [name for name in ("torch", "transformers", "onnx", "socket") if name in sys.modules]
    print(json.dumps([started, heavy]))
"""


def fresh(*words: str) -> subprocess.CompletedProcess[str]:
    """Run `FRESH` in a process that the network would be the end of."""
    command = [sys.executable, str(WITHOUT_NETWORK), sys.executable, "-c", FRESH, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.skipif(sys.platform != "linux", reason="the check is the Linux kernel's")
def test_case_46_network_is_the_end_of_such_a_process() -> None:
    """Else the tests below would show nothing."""
    script = "import socket; socket.socket(socket.AF_UNIX); print(1, flush=True); socket.socket()"
    command = [sys.executable, str(WITHOUT_NETWORK), sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (-signal.SIGSYS, "1\n")


@pytest.mark.skipif(sys.platform != "linux", reason="the check is the Linux kernel's")
def test_case_46_import_leaves_no_threads_no_network_no_torch(home: Path) -> None:
    done = fresh()
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == [0, []]
    assert list(home.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="the check is the Linux kernel's")
def test_case_46_answer_leaves_no_network_and_a_clean_stdout(
    home: Path, mini_artifact: Artifact
) -> None:
    done = fresh(str(mini_artifact.path), MASKED)
    assert (done.returncode, done.stderr) == (0, "")
    (expected, *_) = pipeline(None, mini_artifact, provider="cpu")(MASKED)
    assert done.stdout == f"{expected['token_str']}\n"
    assert list(home.iterdir()) == []
