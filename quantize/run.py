"""Running a graph that is in memory: how quantization sees what a graph makes of texts."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
from numpy.typing import NDArray

from distilroberta.quantize.errors import QuantizationError
from distilroberta.quantize.recipe import Feed
from distilroberta.runtime.execution.cpu_limit import usable_cpus
from distilroberta.runtime.execution.ort import onnxruntime

_ERRORS_ONLY = 3


def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """Load a graph on the CPU; neither the graph nor a file is needed afterwards.

    Raises:
        QuantizationError: the folder for temporary files can't hold the graph, or onnxruntime can't
            load it.
    """
    try:
        # Through a file, which onnxruntime reads in pieces: as bytes, 330 MB would be held three
        # times.
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "graph.onnx"
            onnx.save(model, str(path))
            return load(path)
    except OSError as error:
        raise QuantizationError(
            f"a graph could not be written to a temporary file: {error}; make room there, or name "
            "another folder with TMPDIR"
        ) from error


def load(path: Path) -> onnxruntime.InferenceSession:
    """Load a graph's file on the CPU.

    Raises:
        QuantizationError: onnxruntime can't load it.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usable_cpus()
    options.log_severity_level = _ERRORS_ONLY
    # Between two runs there is Python to do: threads that spin meanwhile would hold it up.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own types share no base but this
        raise _refused("load", path.name, error) from error


def outputs(
    session: onnxruntime.InferenceSession, feed: Feed, names: Sequence[str] | None = None
) -> list[NDArray[Any]]:
    """Return the named outputs of a graph for a batch, all of them if `names` is None.

    Inputs that the graph does not take are left out.

    Raises:
        QuantizationError: onnxruntime can't run the graph.
    """
    taken = {value.name for value in session.get_inputs()}
    given = {name: values for name, values in feed.items() if name in taken}
    try:
        found: list[NDArray[Any]] = session.run(names, given)
    except Exception as error:
        raise _refused("run", "a graph that was made", error) from error
    return found


def _refused(what: str, graph: str, error: Exception) -> QuantizationError:
    said = " ".join(str(error).split())
    return QuantizationError(
        f"onnxruntime {onnxruntime.__version__} can't {what} {graph}: {said}; install a newer one, "
        "or leave this variant out"
    )
