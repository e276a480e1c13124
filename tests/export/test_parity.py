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

from distilroberta.export import ParityError, build, onnx_export, parity
from distilroberta.export.checkpoint import Loaded
from distilroberta.export.onnx_export import ExportedGraph
from distilroberta.quantize.errors import AgreementError
from distilroberta.quantize.recipe import Prepared
from distilroberta.quantize.recipes import RECIPES

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


@pytest.fixture(scope="module")
def tags(tagger: Path, load_folder: Load) -> tuple[Loaded, ExportedGraph]:
    """A token classification checkpoint and its graph."""
    loaded = load_folder(tagger)
    return loaded, onnx_export.export(loaded)[0]


@pytest.fixture(scope="module")
def spans(answerer: Path, load_folder: Load) -> tuple[Loaded, ExportedGraph]:
    """A question answering checkpoint and its graph."""
    loaded = load_folder(answerer)
    return loaded, onnx_export.export(loaded)[0]


@pytest.fixture(scope="module")
def states(embedder: Path, load_folder: Load) -> tuple[Loaded, ExportedGraph]:
    """A checkpoint without a head and its graph."""
    loaded = load_folder(embedder)
    return loaded, onnx_export.export(loaded)[0]


def damaged(model: onnx.ModelProto, damage: Damage) -> onnx.ModelProto:
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    damage(copied)
    return copied


def check(path: Path, loaded: Loaded, graph: ExportedGraph, damage: Damage | None = None) -> float:
    model = damaged(graph.model, damage) if damage else graph.model
    onnx.save(model, path / "g.onnx")
    served = graph.outputs == {"logits": {0: "masks"}}
    return parity.check(path / "g.onnx", loaded, served=served, outputs=graph.outputs, what="g")


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


def swap_outputs(model: onnx.ModelProto) -> None:
    """Give the last output first."""
    model.graph.output.reverse()


def swap_values(model: onnx.ModelProto) -> None:
    """Give the end logits under the name of the start logits, and the other way round."""
    rename("output", "start_logits", "former")(model)
    rename("output", "end_logits", "start_logits")(model)
    rename("output", "former", "end_logits")(model)
    swap_outputs(model)


def spoil_padding(model: onnx.ModelProto) -> None:
    """Give infinity where the attention mask is 0."""
    graph = model.graph
    infinity, last = np.array(np.inf, dtype=np.float32), np.array([-1])
    graph.initializer.append(numpy_helper.from_array(infinity, "infinity"))
    graph.initializer.append(numpy_helper.from_array(last, "last"))
    cast = helper.make_node("Cast", ["attention_mask"], ["real_2"], to=TensorProto.BOOL)
    nodes = [cast, helper.make_node("Unsqueeze", ["real_2", "last"], ["real_3"])]
    for output in graph.output:
        name, real = output.name, f"real_{len(output.type.tensor_type.shape.dim)}"
        rename("output", name, f"{name}_clean")(model)
        output.name = name
        nodes.append(helper.make_node("Where", [real, f"{name}_clean", "infinity"], [name]))
    graph.node.extend(nodes)


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


@pytest.mark.parametrize("task", ["classes", "tags", "spans", "states"])
def test_graph_of_another_task_passes(
    request: pytest.FixtureRequest, tmp_path: Path, task: str
) -> None:
    loaded, graph = request.getfixturevalue(task)
    assert 0 < check(tmp_path, loaded, graph) <= parity.TOLERANCE


@pytest.mark.parametrize(
    "config",
    [
        pytest.param({"num_hidden_layers": 3, "max_position_embeddings": 40}, id="3 layers"),
        pytest.param({"num_attention_heads": 3, "hidden_size": 48}, id="3 heads"),
        pytest.param({"type_vocab_size": 2, "pad_token_id": 6}, id="other padding id"),
    ],
)
@pytest.mark.parametrize(
    ("task", "labels"),
    [
        ("text-classification", 1),
        ("token-classification", 1),
        ("token-classification", 9),
        ("question-answering", 2),
        ("feature-extraction", 2),
    ],
)
def test_graph_of_any_shape_passes(
    make_checkpoint: Callable[..., Path],
    load_folder: Load,
    tmp_path: Path,
    task: str,
    labels: int,
    config: dict[str, Any],
) -> None:
    shape = {"num_hidden_layers": 1, **config}
    loaded = load_folder(make_checkpoint(task, num_labels=labels, **shape))
    graph, _ = onnx_export.export(loaded)
    assert 0 < check(tmp_path, loaded, graph) <= parity.TOLERANCE


@pytest.mark.parametrize("task", ["masked", "tags", "spans", "states"])
def test_padding_is_nobodys_answer(
    request: pytest.FixtureRequest, tmp_path: Path, task: str
) -> None:
    loaded, graph, *_ = request.getfixturevalue(task)
    assert check(tmp_path, loaded, graph, spoil_padding) == check(tmp_path, loaded, graph)


@pytest.mark.reality
def test_graph_of_a_trained_token_classifier_passes(
    reality: Path, load_folder: Load, tmp_path: Path
) -> None:
    loaded = load_folder(reality / "chunk")
    graph, served = onnx_export.export(loaded)
    assert served is None
    assert 0 < check(tmp_path, loaded, graph) <= parity.TOLERANCE


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
    with pytest.raises(ParityError, match=f"g, output logits, {where}: a value differs") as raised:
        check(tmp_path, loaded, graphs[served], damage)
    error = raised.value
    assert error.name == "logits"
    assert error.tolerance == parity.TOLERANCE
    assert error.difference is not None
    assert not error.difference <= error.tolerance


@pytest.mark.parametrize(
    ("task", "damage", "name", "where"),
    [
        pytest.param(
            "tags",
            add_to("classifier.bias", (4,), 1e-3),
            "logits",
            "batch 1, length 8",
            id="bias of a label",
        ),
        pytest.param("tags", ignore_padding, "logits", "batch 2, length 17", id="tags of padding"),
        pytest.param(
            "spans",
            add_to("qa_outputs.bias", (0,), 1e-3),
            "start_logits",
            "batch 1, length 8",
            id="start",
        ),
        pytest.param(
            "spans",
            add_to("qa_outputs.bias", (1,), np.nan),
            "end_logits",
            "batch 1, length 8",
            id="end",
        ),
        pytest.param("spans", swap_values, "start_logits", "batch 1, length 8", id="swapped"),
        pytest.param(
            "spans", ignore_padding, "start_logits", "batch 2, length 17", id="spans of padding"
        ),
        pytest.param(
            "states",
            add_to("layer.1.block.output_norm.bias", (7,), 1e-3),
            "last_hidden_state",
            "batch 1, length 8",
            id="bias of a state",
        ),
        pytest.param(
            "states",
            ignore_padding,
            "last_hidden_state",
            "batch 2, length 17",
            id="states of padding",
        ),
    ],
)
def test_wrong_values_of_any_output_are_refused(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    task: str,
    damage: Damage,
    name: str,
    where: str,
) -> None:
    with pytest.raises(ParityError, match=f"g, output {name}, {where}: a value differs") as raised:
        check(tmp_path, *request.getfixturevalue(task), damage)
    assert raised.value.name == name


@pytest.mark.parametrize(
    ("damage", "name", "message"),
    [
        pytest.param(
            swap_outputs,
            "outputs",
            r"outputs are \['end_logits', 'start_logits'\], must be \['start_logits', 'end_log",
            id="order",
        ),
        pytest.param(
            lambda model: model.graph.output.pop(), "outputs", r"are \['start_logits'\]", id="one"
        ),
        pytest.param(
            fix_axis("output", 1, 1), "end_logits", "dynamic axes of end_logits are {0:", id="axis"
        ),
    ],
)
def test_wrong_outputs_of_several_are_refused(
    spans: tuple[Loaded, ExportedGraph], tmp_path: Path, damage: Damage, name: str, message: str
) -> None:
    with pytest.raises(ParityError, match=message) as raised:
        check(tmp_path, *spans, damage)
    assert raised.value.name == name


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
    recipe = RECIPES[name]

    def prepare(*given: Any) -> Prepared:
        prepared = recipe.prepare(*given)

        def rewrite(model: onnx.ModelProto, *how: Any) -> None:
            add_to("out_proj.bias", (0,), 50)(model)
            prepared.rewrite(model, *how)

        return replace(prepared, rewrite=rewrite)

    monkeypatch.setitem(RECIPES, name, replace(recipe, prepare=prepare))
    wrong = rf"^variant {name} does not answer as FP32 does: .*, must be {lowest} \("
    with pytest.raises(AgreementError, match=wrong):
        build(labeller, tmp_path / "artifact")
    assert list(tmp_path.iterdir()) == []
