"""CUDA graphs: what onnxruntime demands of those who use them, on the CPU in a GPU's place."""

from __future__ import annotations

import dataclasses
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from distilroberta.runtime import Artifact, CudaOptions, InputError
from distilroberta.runtime.execution.cuda_graphs import RecordedCall, recorded_shape
from distilroberta.runtime.execution.graph_calls import Call, Feeds, calling
from distilroberta.runtime.execution.session import Session
from distilroberta.runtime.tasks.model_config import ModelConfig

# What the tests' models have, and no fewer tokens than the graphs are recorded for.
CONFIG = ModelConfig(1, 514, 300, None, {})
TASKS = ["classifier", "tagger", "answerer", "embedder"]


def feeds(rows: int, length: int, seed: int = 0) -> Feeds:
    """Token ids and a mask; the first row has no padding."""
    rng = np.random.default_rng(seed)
    mask = np.arange(length) < rng.integers(2, length + 1, (rows, 1))
    mask[0] = True
    ids = np.where(mask, rng.integers(5, 300, (rows, length)), 1)
    return {"input_ids": ids, "attention_mask": mask.astype(np.int64)}


class Binding:
    """Notes where arrays lie and of what shape they are."""

    def __init__(self, real: Any) -> None:
        self.real, self.bound = real, {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def bind_ortvalue_input(self, name: str, value: Any) -> None:
        self.bound[name] = value.data_ptr(), tuple(value.shape())
        self.real.bind_ortvalue_input(name, value)

    def bind_ortvalue_output(self, name: str, value: Any) -> None:
        self.bound[name] = value.data_ptr(), tuple(value.shape())
        self.real.bind_ortvalue_output(name, value)


class Recorder:
    """Demands of its runs what CUDA graphs do: one thread, and all of a number are alike."""

    def __init__(self, real: Any) -> None:
        self.real = real
        self.graphs: dict[str, dict[str, Any]] = {}
        self.as_they_are: list[str] = []
        self.threads: set[int] = set()
        self.failures: list[Exception] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def io_binding(self) -> Binding:
        return Binding(self.real.io_binding())

    def run(self, names: Any, given: Feeds, options: Any) -> Any:
        self.threads.add(threading.get_ident())
        self.as_they_are.append(options.get_run_config_entry("gpu_graph_id"))
        return self.real.run(names, given)

    def run_with_iobinding(self, binding: Binding, options: Any) -> None:
        self.threads.add(threading.get_ident())
        number = options.get_run_config_entry("gpu_graph_id")
        assert int(number) > 0
        assert self.graphs.setdefault(number, binding.bound) == binding.bound
        if self.failures:
            raise self.failures.pop(0)
        self.real.run_with_iobinding(binding.real)


@pytest.fixture(scope="module")
def sessions(request: pytest.FixtureRequest) -> Callable[[str], Any]:
    """Return the onnxruntime session of a task's graph."""

    def session(task: str) -> Any:
        artifact = request.getfixturevalue(f"{task}_artifact")
        return artifact.session("fp32", provider="cpu", threads=1)._call.session

    return session


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        ((1, 1), (1, 16)),
        ((1, 16), (1, 16)),
        ((1, 17), (1, 32)),
        ((3, 100), (4, 128)),
        ((8, 128), (8, 128)),
        ((32, 512), (32, 512)),
        ((33, 5), None),
        ((1, 513), None),
    ],
)
def test_shapes_are_powers_of_two(batch: tuple[int, int], expected: tuple[int, int] | None) -> None:
    assert recorded_shape(*batch, 512) == expected


@pytest.mark.parametrize(
    ("length", "max_length", "expected"),
    [(3, 8, 8), (16, 40, 16), (33, 40, 40), (40, 40, 40), (41, 40, None), (513, 1024, None)],
)
def test_no_length_is_more_than_the_model_takes(
    length: int, max_length: int, expected: int | None
) -> None:
    shape = recorded_shape(1, length, max_length)
    assert (shape and shape[1]) == expected


@pytest.mark.parametrize("padding", [0, 1, 5])
def test_padding_is_the_model_s(sessions: Callable[[str], Any], padding: int) -> None:
    """RoBERTa gives every id but its padding a position."""
    config = dataclasses.replace(CONFIG, pad_token_id=padding)
    call = RecordedCall(Recorder(sessions("classifier")), "cpu", 0, config)
    given = {"input_ids": np.full((2, 12), 7), "attention_mask": np.ones((2, 12), np.int64)}
    call(given)
    inputs = call._recorded[2, 16]._inputs
    ids, mask = inputs["input_ids"].numpy(), inputs["attention_mask"].numpy()
    assert (ids[:, :12] == 7).all()
    assert (ids[:, 12:] == padding).all()
    assert (mask == [1] * 12 + [0] * 4).all()


def test_padding_and_length_are_read_from_the_artifact(
    gpus: Any, classifier_artifact: Artifact, tmp_path: Path, edit_json: Callable[..., None]
) -> None:
    folder = Path(shutil.copytree(classifier_artifact.path, tmp_path / "artifact"))
    edit_json(folder, "config.json", lambda tree: tree.update(pad_token_id=3))
    edit_json(
        folder,
        "manifest.json",
        lambda tree: tree["files"]["config.json"].update(
            bytes=(folder / "config.json").stat().st_size
        ),
    )
    session = Artifact(folder).session("fp32", provider=CudaOptions(cuda_graph=True))
    assert isinstance(session._call, RecordedCall)
    assert session._call._padding["input_ids"] == 3
    config = ModelConfig.read(folder / "config.json")
    assert session._call._max_length == config.max_length


def test_graph_without_an_artifact_is_refused(gpus: Any, classifier_artifact: Artifact) -> None:
    spec = classifier_artifact.variant("fp32")
    graph = classifier_artifact.file(spec.graph)
    with pytest.raises(InputError, match="cuda_graph must be False for a graph without artifact"):
        Session("fp32", graph, spec, CudaOptions(cuda_graph=True), 1)


@pytest.mark.parametrize("task", TASKS)
def test_outputs_are_those_of_the_batch(sessions: Callable[[str], Any], task: str) -> None:
    session = sessions(task)
    plain, call = Call(session), RecordedCall(Recorder(session), "cpu", 0, CONFIG)
    for seed, shape in enumerate([(1, 3), (3, 12), (4, 16), (2, 9), (5, 40), (3, 12), (33, 4)]):
        given = feeds(*shape, seed)
        found, expected = call(given), plain(given)
        assert len(found) == len(expected)
        for ours, theirs in zip(found, expected, strict=True):
            assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
            real = given["attention_mask"] == 1
            pair = (ours[real], theirs[real]) if ours.shape[:2] == real.shape else (ours, theirs)
            np.testing.assert_allclose(*pair, rtol=0, atol=1e-5)


def test_outputs_stay_when_the_graph_is_replayed(sessions: Callable[[str], Any]) -> None:
    call = RecordedCall(Recorder(sessions("tagger")), "cpu", 0, CONFIG)
    (first,) = call(feeds(2, 16, seed=1))
    kept = first.copy()
    (second,) = call(feeds(2, 16, seed=2))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, kept)


def test_one_graph_for_each_shape(sessions: Callable[[str], Any]) -> None:
    recorder = Recorder(sessions("classifier"))
    call = RecordedCall(recorder, "cpu", 0, CONFIG)
    for shape in [(3, 12), (4, 16), (3, 5), (4, 17), (4, 32), (1, 3), (3, 12)]:
        call(feeds(*shape))
    shapes = [bound["input_ids"][1] for bound in recorder.graphs.values()]
    assert shapes == [(4, 16), (4, 32), (1, 16)]
    assert recorder.as_they_are == []
    call(feeds(33, 5))
    assert len(recorder.graphs) == 3
    assert recorder.as_they_are == ["-1"]


def test_callers_in_many_threads(sessions: Callable[[str], Any]) -> None:
    """They share one, to which what onnxruntime recorded belongs."""
    session = sessions("classifier")
    recorder = Recorder(session)
    call = RecordedCall(recorder, "cpu", 0, CONFIG)
    batches = [feeds(rows, 12, rows) for rows in (1, 2, 3, 4, 5, 40)] * 8
    expected = [Call(session)(batch)[0] for batch in batches]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(call, batches))
    assert len(recorder.threads) == 1
    assert recorder.threads != {threading.get_ident()}
    for (ours,), theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)


def test_recording_that_failed_is_not_replayed(sessions: Callable[[str], Any]) -> None:
    recorder = Recorder(sessions("classifier"))
    call = RecordedCall(recorder, "cpu", 0, CONFIG)
    recorder.failures = [RuntimeError("CUDA failure 2: out of memory")]
    with pytest.raises(RuntimeError, match="out of memory"):
        call(feeds(2, 16))
    for _ in range(2):
        call(feeds(2, 16))
    assert list(recorder.graphs) == ["1", "2"]


def test_graph_of_fill_mask_is_refused(sessions: Callable[[str], Any]) -> None:
    message = r"cuda_graph must be False for this graph: how many masks its output logits has"
    with pytest.raises(InputError, match=message):
        RecordedCall(sessions("mini"), "cpu", 0, CONFIG)


def test_options_reach_onnxruntime(
    gpus: Any, classifier_artifact: Artifact, mini_artifact: Artifact
) -> None:
    options = CudaOptions(cuda_graph=True, device_id=1)
    session = classifier_artifact.session("fp16", provider=options)
    assert gpus.asked[0][0][1]["enable_cuda_graph"] == "1"
    call = session._call
    assert isinstance(call, RecordedCall)
    assert call._device == ("cuda", 1)
    with pytest.raises(InputError, match="cuda_graph must be False for this graph"):
        mini_artifact.session("fp16", provider=options)
    classifier_artifact.session("fp16", provider=CudaOptions())
    assert "enable_cuda_graph" not in gpus.asked[-1][0][1]


# What computes shapes, and the inputs that CUDA's kernels read on the CPU.
OF_SHAPES = {"Shape", "Gather", "Unsqueeze", "Squeeze", "Concat", "Slice", "Constant"}
READ_ON_THE_CPU = {("Reshape", 1), ("Expand", 1)}


@pytest.mark.parametrize("variant", ["fp32", "fp16"])
@pytest.mark.parametrize("task", TASKS)
def test_nothing_is_copied_from_the_cpu_within_the_graph(
    request: pytest.FixtureRequest, task: str, variant: str
) -> None:
    """onnxruntime refuses to record a graph with a copy in it, and puts shapes on the CPU."""
    artifact: Artifact = request.getfixturevalue(f"{task}_artifact")
    path = artifact.path / artifact.variant(variant).graph
    shapes: set[str] = set()
    readers: set[tuple[str, int]] = set()
    for node in onnx.load(path, load_external_data=False).graph.node:
        read = [index for index, name in enumerate(node.input) if name in shapes]
        if node.op_type == "Shape" or (read and node.op_type in OF_SHAPES):
            shapes.update(node.output)
        else:
            readers.update((node.op_type, index) for index in read)
    assert shapes
    assert readers <= READ_ON_THE_CPU


def test_work_on_the_cpu_can_not_be_recorded() -> None:
    with pytest.raises(InputError, match="cpu_nodes must be shapes or none with cuda_graph"):
        CudaOptions(cuda_graph=True, cpu_nodes="any")


def test_it_is_asked_for(sessions: Callable[[str], Any]) -> None:
    session = sessions("classifier")
    for wanted in (True, False):
        call = calling(session, CudaOptions(cuda_graph=wanted, io_binding=True), lambda: CONFIG)
        assert isinstance(call, RecordedCall) is wanted
