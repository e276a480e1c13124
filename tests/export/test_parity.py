"""A graph that is not the PyTorch model does not pass, and a build of it leaves nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from distilroberta.export import ParityError, build, onnx_export, parity, variants
from distilroberta.export.checkpoint import Loaded
from distilroberta.export.onnx_export import ExportedGraph

Load = Callable[[Path], Loaded]
Damage = Callable[[onnx.ModelProto], Any]


@pytest.fixture(scope="module")
def masked(masker: Path, load_folder: Load) -> tuple[Loaded, ExportedGraph, ExportedGraph]:
    """A fill-mask checkpoint, its standard graph and its served graph."""
    loaded = load_folder(masker)
    standard, served = onnx_export.export(loaded)
    assert served is not None
    return loaded, standard, served


@pytest.fixture(scope="module")
def classes(labeller: Path, load_folder: Load) -> tuple[Loaded, ExportedGraph]:
    """A text classification checkpoint and its graph."""
    loaded = load_folder(labeller)
    return loaded, onnx_export.export(loaded)[0]


def damaged(model: onnx.ModelProto, damage: Damage) -> onnx.ModelProto:
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    damage(copied)
    return copied


def check(path: Path, loaded: Loaded, graph: ExportedGraph, damage: Damage | None = None) -> float:
    model = damaged(graph.model, damage) if damage else graph.model
    onnx.save(model, path / "g.onnx")
    axes = graph.output_axes
    served = axes == {0: "masks"}
    return parity.check(path / "g.onnx", loaded, served=served, output_axes=axes, what="g")


def add_to(name: str, place: tuple[int, ...], amount: float) -> Damage:
    """Add an amount to the element `place` of the weight whose name ends with `name`."""

    def damage(model: onnx.ModelProto) -> None:
        (tensor,) = (one for one in model.graph.initializer if one.name.endswith(name))
        values = numpy_helper.to_array(tensor).copy()
        values[place] += amount
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))

    return damage


def rename(kind: str, old: str, new: str) -> Damage:
    def damage(model: onnx.ModelProto) -> None:
        (value,) = (one for one in getattr(model.graph, kind) if one.name == old)
        value.name = new
        for node in model.graph.node:
            names = node.output if kind == "output" else node.input
            names[:] = [new if name == old else name for name in names]

    return damage


def fix_axis(kind: str, index: int, axis: int) -> Damage:
    def damage(model: onnx.ModelProto) -> None:
        value = getattr(model.graph, kind)[index]
        value.type.tensor_type.shape.dim[axis].dim_value = 8

    return damage


def repeat_rows(model: onnx.ModelProto) -> None:
    """Give every row of logits twice."""
    rename("output", "logits", "once")(model)
    (output,) = model.graph.output
    output.name = "logits"
    model.graph.node.append(helper.make_node("Concat", ["once", "once"], ["logits"], axis=0))


def ignore_padding(model: onnx.ModelProto) -> None:
    """Attend to padding as to any token."""
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.t.data_type == TensorProto.FLOAT and attribute.t.dims == []:
                value = numpy_helper.to_array(attribute.t)
                if value == -10000:
                    attribute.t.CopyFrom(numpy_helper.from_array(np.zeros_like(value)))


def test_standard_and_served_graph_pass(
    masked: tuple[Loaded, ExportedGraph, ExportedGraph], tmp_path: Path
) -> None:
    loaded, *graphs = masked
    for graph in graphs:
        assert 0 < check(tmp_path, loaded, graph) <= parity.TOLERANCE


def test_classification_graph_passes(classes: tuple[Loaded, ExportedGraph], tmp_path: Path) -> None:
    assert 0 < check(tmp_path, *classes) <= parity.TOLERANCE


@pytest.mark.parametrize("served", [False, True], ids=["standard", "served"])
@pytest.mark.parametrize(
    ("damage", "where"),
    [
        pytest.param(add_to("lm_head.bias", (7,), 1e-3), "batch 1, length 8", id="bias"),
        pytest.param(add_to("lm_head.bias", (7,), np.nan), "batch 1, length 8", id="not a number"),
        pytest.param(add_to("word_embeddings", (0, 3), 0.1), "batch 1, length 8", id="embedding"),
        pytest.param(add_to("position_embeddings", (-1, 3), 1), "batch 3, length 64", id="length"),
        pytest.param(ignore_padding, "batch 2, length 17", id="attention to padding"),
    ],
)
def test_wrong_values_are_refused(
    masked: tuple[Loaded, ExportedGraph, ExportedGraph],
    tmp_path: Path,
    damage: Damage,
    where: str,
    served: bool,
) -> None:
    loaded, *graphs = masked
    with pytest.raises(ParityError, match=f"g, output logits, {where}: a logit differs") as raised:
        check(tmp_path, loaded, graphs[served], damage)
    error = raised.value
    assert error.name == "logits"
    assert error.tolerance == parity.TOLERANCE
    assert error.difference is not None
    assert not error.difference <= error.tolerance


@pytest.mark.parametrize(
    ("damage", "name", "message"),
    [
        pytest.param(
            rename("output", "logits", "scores"),
            "outputs",
            r"outputs are \['scores'\], must be \['logits'\]",
            id="output renamed",
        ),
        pytest.param(
            rename("input", "input_ids", "ids"),
            "inputs",
            r"inputs are \['ids',",
            id="input renamed",
        ),
        pytest.param(
            fix_axis("input", 0, 1), "input_ids", "dynamic axes of input_ids", id="input axis fixed"
        ),
        pytest.param(
            fix_axis("input", 1, 0),
            "attention_mask",
            "dynamic axes of attention_mask",
            id="mask axis",
        ),
        pytest.param(
            fix_axis("output", 0, 0), "logits", "dynamic axes of logits are {}", id="output axis"
        ),
        pytest.param(
            repeat_rows, "logits", r"shape is \(2, 2\), PyTorch's is \(1, 2\)", id="shape"
        ),
    ],
)
def test_wrong_names_axes_and_shapes_are_refused(
    classes: tuple[Loaded, ExportedGraph],
    tmp_path: Path,
    damage: Damage,
    name: str,
    message: str,
) -> None:
    with pytest.raises(ParityError, match=message) as raised:
        check(tmp_path, *classes, damage)
    assert raised.value.name == name
    assert raised.value.difference is raised.value.tolerance is None


def test_build_of_a_wrong_export_leaves_nothing(
    masker: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = onnx_export.export

    def wrong(loaded: Loaded) -> tuple[ExportedGraph, ExportedGraph | None]:
        standard, served = export(loaded)
        assert served is not None
        bad = damaged(served.model, add_to("lm_head.bias", (7,), 1e-3))
        return standard, replace(served, model=bad)

    monkeypatch.setattr(onnx_export, "export", wrong)
    with pytest.raises(ParityError, match=r"onnx/served_fp32\.onnx, output logits, batch 1"):
        build(masker, tmp_path / "artifact")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "lowest"), [("fp16", 0.999), ("int8", 0.98)])
def test_build_of_a_wrong_variant_leaves_nothing(
    labeller: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, lowest: float
) -> None:
    recipe = variants.RECIPES[name]

    def wrong(model: onnx.ModelProto) -> onnx.ModelProto:
        return recipe.standard(damaged(model, add_to("out_proj.bias", (0,), 50)))

    monkeypatch.setitem(variants.RECIPES, name, replace(recipe, standard=wrong))
    with pytest.raises(ParityError, match=f"variant {name} does not answer as PyTorch") as raised:
        build(labeller, tmp_path / "artifact")
    assert (raised.value.name, raised.value.tolerance) == (name, lowest)
    assert list(tmp_path.iterdir()) == []
