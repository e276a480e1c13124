"""One variant of an artifact: its graphs made, written, checked and measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import onnx

from distilroberta.quantize import onnx_file, recipe
from distilroberta.quantize.errors import QuantizationError
from distilroberta.quantize.probes import Probes
from distilroberta.quantize.recipe import NOTHING, Feed, Kept, Options, Prepared, Recipe
from distilroberta.quantize.signature import tensor_specs
from distilroberta.runtime import layout
from distilroberta.runtime.execution.session import Session
from distilroberta.runtime.manifest import Agreement, Variant

_UNMEASURED = Agreement(rows=0, largest_difference=0, cosine=0, same_top=0, kl=0)


@dataclass(frozen=True)
class Graphs:
    """The FP32 graphs of a checkpoint; `served` is None where the standard one is served."""

    standard: onnx.ModelProto
    served: onnx.ModelProto | None


def prepare(
    name: str, graphs: Graphs, feeds: Iterable[Feed], options: Options
) -> tuple[Recipe, Prepared]:
    """Return a variant's recipe, ready for these graphs.

    Raises:
        QuantizationError: the model can't be made smaller in this way.
    """
    from distilroberta.quantize.recipes import RECIPES

    return RECIPES[name], RECIPES[name].prepare(graphs.standard, feeds, options)


def make(
    name: str,
    recipe_: Recipe,
    prepared: Prepared,
    graphs: Graphs,
    probes: Probes,
    folder: Path,
    *,
    target: str = layout.PORTABLE,
    kept: Kept = NOTHING,
) -> Variant:
    """Write a variant's files into an artifact's folder, check and measure them.

    Args:
        name: the variant.
        recipe_: its recipe.
        prepared: that recipe made ready for `graphs`.
        graphs: the FP32 graphs.
        probes: what its answers are compared on.
        folder: the artifact's folder.
        target: the kind of processor it is for.
        kept: the weights that stay in a higher precision.

    Returns:
        Its manifest entry.

    Raises:
        QuantizationError: the model can't be made smaller in this way.
        AgreementError: a graph does not answer as FP32 does.
    """
    standard = layout.standard_graph(name, target)
    served = standard if graphs.served is None else layout.served_graph(name)
    (folder / layout.GRAPHS).mkdir(exist_ok=True)
    model = recipe.apply(prepared, graphs.standard, "one", kept)
    ranges = onnx_file.write(model, folder / standard)
    if graphs.served is not None:
        model = recipe.apply(prepared, graphs.served, "two", kept)
        onnx_file.read_from(model, ranges, PurePosixPath(standard).name)
        onnx_file.write(model, folder / served)
        _check_locations(model, PurePosixPath(standard).name)
        probes.check_standard(folder / standard, recipe_.lowest_cosine)
    scheme = prepared.scheme
    if kept:
        scheme += f"; in a higher precision: {', '.join(sorted(kept))}"
    unmeasured = Variant(
        graph=served,
        reads=(standard,) if served != standard else (),
        standard=standard,
        precision=name,
        scheme=scheme,
        opset=_opset(model),
        onnxruntime=recipe_.onnxruntime,
        inputs=tensor_specs(model.graph.input),
        outputs=tensor_specs(model.graph.output),
        agreement=_UNMEASURED,
        target=target,
    )
    session = Session(name, folder / served, unmeasured, "cpu", None)
    return replace(unmeasured, agreement=probes.measure(session, recipe_.lowest_cosine))


def _opset(model: onnx.ModelProto) -> int:
    return next(int(opset.version) for opset in model.opset_import if not opset.domain)


def _check_locations(model: onnx.ModelProto, allowed: str) -> None:
    # The manifest promises that the graph reads this file and no other.
    for tensor in model.graph.initializer:
        for field in tensor.external_data:
            if field.key == "location" and field.value != allowed:
                raise QuantizationError(
                    f"weight {tensor.name} lies in {field.value}, not in {allowed}"
                )
