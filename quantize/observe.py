"""What flows through a graph: the values between its nodes, batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray

from distilroberta.quantize import run
from distilroberta.quantize.recipe import Feed
from distilroberta.runtime.execution.ort import onnxruntime


def observe(
    model: onnx.ModelProto, names: Sequence[str], feeds: Iterable[Feed]
) -> Iterator[dict[str, NDArray[np.float32]]]:
    """Run a graph on batches and yield the values of some names for each.

    Args:
        model: the graph, which is not changed.
        names: outputs of its nodes.
        feeds: batches of inputs, read one at a time. Padding is observed like any token, so a
            batch is best one text.

    Yields:
        The values by name, float32, in the shapes the graph gives them.

    Raises:
        QuantizationError: see `run.session`.
    """
    wanted = list(dict.fromkeys(names))
    session = _session(model, wanted)
    for feed in feeds:
        yield dict(zip(wanted, run.outputs(session, feed, wanted), strict=True))


def _session(model: onnx.ModelProto, names: Sequence[str]) -> onnxruntime.InferenceSession:
    outputs = {value.name for value in model.graph.output}
    added = [name for name in names if name not in outputs]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in added)
    try:
        return run.session(model)
    finally:
        if added:
            del model.graph.output[-len(added) :]
