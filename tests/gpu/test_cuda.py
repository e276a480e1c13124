"""What can only be tested on a GPU: the same answers, on the device, or an error."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distilroberta.runtime import (
    Artifact,
    CudaOptions,
    InputError,
    OutOfMemoryError,
    ProviderError,
    TensorRTOptions,
    pipeline,
)

pytestmark = pytest.mark.gpu

TOLERANCE = 1e-4
# The lowest correlation of FP16's logits with FP32's.
SAME_MODEL = 0.999
TASKS = ["mini", "classifier", "tagger", "answerer", "embedder"]
SHAPES = [(1, 3), (1, 16), (5, 40), (40, 24)]


def batch(rows: int, length: int) -> tuple[Any, Any]:
    """Token ids and a mask, each row of them of its own length."""
    rng = np.random.default_rng(rows * length)
    ids = rng.integers(5, 300, (rows, length))
    mask = np.arange(length) < rng.integers(2, length + 1, (rows, 1))
    mask[0] = True
    return np.where(mask, ids, 1), mask.astype(np.int64)


def outputs(found: Any) -> tuple[Any, ...]:
    return found if isinstance(found, tuple) else (found,)


def pairs(found: Any, expected: Any, mask: Any) -> list[tuple[Any, Any]]:
    """Return the values of each output, ours and theirs, where they mean something."""
    listed = []
    for ours, theirs in zip(outputs(found), outputs(expected), strict=True):
        by_token = theirs.shape[:2] == mask.shape
        listed.append((ours[mask == 1], theirs[mask == 1]) if by_token else (ours, theirs))
    return listed


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("task", TASKS)
def test_fp32_is_that_of_the_cpu(
    request: pytest.FixtureRequest, on_gpu: str, task: str, shape: tuple[int, int]
) -> None:
    artifact = request.getfixturevalue(f"{task}_artifact")
    ids, mask = batch(*shape)
    expected = artifact.session("fp32", provider="cpu").run(ids, mask)
    found = artifact.session("fp32", provider=on_gpu).run(ids, mask)
    for ours, theirs in pairs(found, expected, mask):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("task", TASKS)
def test_fp16_is_the_same_model(request: pytest.FixtureRequest, on_gpu: str, task: str) -> None:
    artifact = request.getfixturevalue(f"{task}_artifact")
    ids, mask = batch(5, 40)
    expected = artifact.session("fp32", provider="cpu").run(ids, mask)
    found = artifact.session("fp16", provider=on_gpu).run(ids, mask)
    for ours, theirs in pairs(found, expected, mask):
        if theirs.size > 1:
            assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > SAME_MODEL


@pytest.mark.parametrize("task", TASKS)
def test_bound_arrays_give_the_same(request: pytest.FixtureRequest, cuda: str, task: str) -> None:
    artifact = request.getfixturevalue(f"{task}_artifact")
    ids, mask = batch(5, 40)
    expected = artifact.session("fp32", provider=cuda).run(ids, mask)
    found = artifact.session("fp32", provider=CudaOptions(io_binding=True)).run(ids, mask)
    for ours, theirs in pairs(found, expected, mask):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("variant", ["fp32", "fp16"])
@pytest.mark.parametrize("task", TASKS[1:])
def test_replayed_cuda_graphs_give_the_same(
    request: pytest.FixtureRequest, cuda: str, task: str, variant: str
) -> None:
    """Shapes that share a CUDA graph, each of them again and again, and one that is too large."""
    artifact = request.getfixturevalue(f"{task}_artifact")
    plain = artifact.session(variant, provider=cuda)
    session = artifact.session(variant, provider=CudaOptions(cuda_graph=True))
    for shape in [*SHAPES, (4, 30), (5, 33), *SHAPES]:
        ids, mask = batch(*shape)
        for change in range(3):
            given = np.where(mask == 1, np.roll(ids, change, axis=0), 1)
            for ours, theirs in pairs(session.run(given, mask), plain.run(given, mask), mask):
                if variant == "fp32":
                    np.testing.assert_allclose(ours, theirs, rtol=0, atol=TOLERANCE)
                elif theirs.size > 1:
                    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > SAME_MODEL


@pytest.mark.usefixtures("cuda")
def test_threads_share_cuda_graphs(classifier_artifact: Artifact) -> None:
    pipe = pipeline(None, classifier_artifact, provider=CudaOptions(cuda_graph=True), top_k=None)
    expected = pipeline(None, classifier_artifact, provider="cuda", top_k=None)
    texts = [" ".join(["The dog barked."] * count) for count in range(1, 9)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(pipe, texts * 4))
    for (ours,), (theirs,) in zip(found, map(expected, texts * 4), strict=True):
        for one, other in zip(ours, theirs, strict=True):
            assert one["score"] == pytest.approx(other["score"], rel=0, abs=1e-2)


@pytest.mark.usefixtures("cuda")
def test_fill_mask_has_no_cuda_graph(mini_artifact: Artifact) -> None:
    with pytest.raises(InputError, match="cuda_graph must be False for this graph: how many masks"):
        mini_artifact.session("fp16", provider=CudaOptions(cuda_graph=True))


@pytest.mark.usefixtures("cuda")
def test_a_pipeline_takes_fp16_and_answers_as_the_cpu(classifier_artifact: Artifact) -> None:
    pipe = pipeline(None, classifier_artifact, provider="cuda")
    assert (pipe.provider, pipe.variant) == ("cuda", "fp16")
    expected = pipeline(None, classifier_artifact, variant="fp32", provider="cpu")
    texts = ["It is good.", "It was not, and it rained.", ""]
    assert [row["label"] for row in pipe(texts)] == [row["label"] for row in expected(texts)]


def test_the_device_does_the_work(on_gpu: str, classifier_artifact: Artifact) -> None:
    nodes = classifier_artifact.session("fp16", provider=on_gpu).nodes()
    assert nodes[on_gpu] > sum(nodes.values()) / 2


def test_int8_has_work_that_cuda_leaves_on_the_cpu(
    cuda: str, classifier_artifact: Artifact
) -> None:
    with pytest.raises(ProviderError, match="leaves operators of the graph on the CPU: "):
        classifier_artifact.session("int8", provider=cuda)
    allowed = CudaOptions(cpu_nodes="any")
    assert classifier_artifact.session("int8", provider=allowed).nodes()["cpu"] > 0


@pytest.mark.parametrize("options", [CudaOptions(device_id=99), TensorRTOptions(device_id=99)])
@pytest.mark.usefixtures("cuda")
def test_device_99(
    classifier_artifact: Artifact, options: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ProviderError, match=f"provider {options.name} .*99"):
        classifier_artifact.session("fp32", provider=options)
    assert capfd.readouterr().out == ""


@pytest.mark.usefixtures("cuda")
def test_out_of_memory_leaves_the_session_alive(classifier_artifact: Artifact) -> None:
    session = classifier_artifact.session("fp32", provider=CudaOptions(memory_limit=32 << 20))
    ids, mask = batch(2, 40)
    expected = session.run(ids, mask)
    with pytest.raises(OutOfMemoryError, match="provider cuda has not enough memory for 4096"):
        session.run(np.tile(ids, (2048, 1)), np.tile(mask, (2048, 1)))
    np.testing.assert_array_equal(session.run(ids, mask), expected)


def test_threads_get_what_one_gets(on_gpu: str, classifier_artifact: Artifact) -> None:
    session = classifier_artifact.session("fp32", provider=on_gpu)
    batches = [batch(rows, 24) for rows in range(1, 9)] * 4
    expected = [session.run(*one) for one in batches]
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda one: session.run(*one), batches))
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=TOLERANCE)


def _exit_code_in_a_fork(session: Any) -> None:
    try:
        session.run(*batch(1, 16))
    except ProviderError:
        raise SystemExit(7) from None


def test_a_fork_is_refused(cuda: str, classifier_artifact: Artifact) -> None:
    session = classifier_artifact.session("fp32", provider=cuda)
    worker = multiprocessing.get_context("fork").Process(
        target=_exit_code_in_a_fork, args=(session,)
    )
    worker.start()
    worker.join(20)
    assert worker.exitcode == 7


@pytest.mark.usefixtures("tensorrt")
def test_engines_are_kept_and_built_again_when_damaged(
    classifier_artifact: Artifact, tmp_path: Path
) -> None:
    options = TensorRTOptions(cache_folder=tmp_path, batches=(1, 2, 4), lengths=(1, 16, 32))
    ids, mask = batch(4, 24)
    expected = classifier_artifact.session("fp32", provider=options).run(ids, mask)
    engines = {path: path.read_bytes() for path in tmp_path.rglob("*.engine")}
    assert engines
    again = classifier_artifact.session("fp32", provider=options).run(ids, mask)
    np.testing.assert_allclose(again, expected, rtol=0, atol=TOLERANCE)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.engine")} == engines
    for path, content in engines.items():
        path.write_bytes(content[: len(content) // 2])
    again = classifier_artifact.session("fp32", provider=options).run(ids, mask)
    np.testing.assert_allclose(again, expected, rtol=0, atol=TOLERANCE)
