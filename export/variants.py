"""One variant of an artifact: its graphs made, written, checked and measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import onnx

from distilroberta.export import parity
from distilroberta.export.checkpoint import Loaded
from distilroberta.export.errors import ExportError
from distilroberta.export.onnx_export import OPSET, ExportedGraph, tensor_specs
from distilroberta.export.probes import Probes
from distilroberta.quantize import half, int8, onnx_file
from distilroberta.runtime import layout
from distilroberta.runtime.manifest import Agreement, TensorSpec, Variant
from distilroberta.runtime.session import Session


@dataclass(frozen=True)
class Recipe:
    """How a variant is made from the FP32 graphs.

    `standard` and `served` make the two files' graphs; they differ where a graph that is a file of
    its own must store a weight another way than one that reads it from beside. `onnxruntime` is
    the oldest release that runs the result: 1.16.0 is the oldest that was tried, and 1.23.0 the
    first that reads 8 bits in `GatherBlockQuantized`.
    """

    standard: Callable[[onnx.ModelProto], onnx.ModelProto]
    served: Callable[[onnx.ModelProto], onnx.ModelProto]
    scheme: str
    onnxruntime: str


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    return copied


RECIPES = {
    "fp32": Recipe(_copy, _copy, "FP32, as in the checkpoint", "1.16.0"),
    "fp16": Recipe(half.to_fp16, half.to_fp16, half.SCHEME, "1.16.0"),
    "int8": Recipe(
        int8.to_int8, lambda model: int8.to_int8(model, views="two"), int8.SCHEME, "1.23.0"
    ),
}


@dataclass(frozen=True)
class Fp32Graphs:
    """The FP32 graphs of a checkpoint; `served` is None where the standard one is served."""

    standard: ExportedGraph
    served: ExportedGraph | None


def make(name: str, graphs: Fp32Graphs, loaded: Loaded, probes: Probes, folder: Path) -> Variant:
    """Write a variant's files into an artifact's folder, check and measure them.

    Returns:
        Its manifest entry.

    Raises:
        QuantizationError: the model can't be made smaller in this way.
        ParityError: a graph does not answer as PyTorch does.
    """
    recipe = RECIPES[name]
    standard = layout.STANDARD_GRAPH[name]
    served = layout.SERVED_GRAPH[name] if graphs.served is not None else standard
    (folder / layout.GRAPHS).mkdir(exist_ok=True)
    model = recipe.standard(graphs.standard.model)
    ranges = onnx_file.write(model, folder / standard)
    if graphs.served is not None:
        model = recipe.served(graphs.served.model)
        onnx_file.read_from(model, ranges, PurePosixPath(standard).name)
        onnx_file.write(model, folder / served)

    def entry(agreement: Agreement) -> Variant:
        return Variant(
            graph=served,
            reads=(standard,) if served != standard else (),
            standard=standard,
            precision=name,
            scheme=recipe.scheme,
            opset=OPSET,
            onnxruntime=recipe.onnxruntime,
            inputs=inputs,
            outputs=outputs,
            agreement=agreement,
        )

    inputs, outputs = (tuple(TensorSpec(**s) for s in specs) for specs in tensor_specs(model))
    if graphs.served is not None:
        _check_locations(model, PurePosixPath(standard).name)
    if name == "fp32":
        _check(folder, standard, graphs.standard, loaded, is_served=False)
        if graphs.served is not None:
            _check(folder, served, graphs.served, loaded, is_served=True)
    elif graphs.served is not None:  # in FP32 the standard graph was compared just above
        probes.check_standard(folder / standard, name)
    unmeasured = Agreement(rows=0, largest_difference=0, cosine=0, same_top=0, kl=0)
    session = Session(name, folder / served, entry(unmeasured), "cpu", None)
    return entry(probes.measure(session, name))


def _check_locations(model: onnx.ModelProto, allowed: str) -> None:
    # The manifest promises that the graph reads this file and no other.
    for tensor in model.graph.initializer:
        for field in tensor.external_data:
            if field.key == "location" and field.value != allowed:
                raise ExportError(f"weight {tensor.name} lies in {field.value}, not in {allowed}")


def _check(
    folder: Path, name: str, graph: ExportedGraph, loaded: Loaded, *, is_served: bool
) -> None:
    parity.check(folder / name, loaded, served=is_served, output_axes=graph.output_axes, what=name)
