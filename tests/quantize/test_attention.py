"""One operator in place of the parts of attention gives what the parts give."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper, parser
from onnx.reference import ReferenceEvaluator

from distilroberta.quantize import attention, observe
from distilroberta.quantize.errors import QuantizationError

Open = Callable[[onnx.ModelProto], Any]
Feeds = dict[str, NDArray[Any]]

# Of every task: the fixture, the graph, and whether its last layer runs for some positions alone.
GRAPHS = [
    ("wide_fill_mask", "standard", False),
    ("wide_fill_mask", "served", True),
    ("wide_classifier", "standard", True),
    ("wide_tagger", "standard", False),
    ("wide_answerer", "standard", False),
]
EACH_GRAPH = pytest.mark.parametrize(("name", "graph", "reads_some"), GRAPHS)

# A character is a token: <s>, </s>, <m>ask, an ordinary one (.), <p>adding that the attention mask
# hides, an ordinary one that it hides (x).
TEXTS = {
    "one text": ["s...m.e"],
    "padding": ["s...m....e", "s.m.eppppp", "smeppppppp"],
    "hidden tokens": ["s..x.mx.e", "sxxxx.m.e", "s...m...e"],
    "several masks in a row, and none": ["smm.m.me", "s......e", "s..m.epp"],
    "no mask": ["s....e", "s..epp"],
    "one token": ["s", "m"],
}


def encode(rows: list[str], tokenizer: Any) -> Feeds:
    ids = np.random.default_rng(0).integers(10, 250, size=(len(rows), len(rows[0])))
    kinds = np.array([list(row) for row in rows])
    ids[kinds == "s"] = tokenizer.bos_token_id
    ids[kinds == "e"] = tokenizer.eos_token_id
    ids[kinds == "m"] = tokenizer.mask_token_id
    ids[kinds == "p"] = tokenizer.pad_token_id
    return {"input_ids": ids, "attention_mask": (~np.isin(kinds, ["p", "x"])).astype(np.int64)}


def fused(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy with the operator."""
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    attention.fuse(copied)
    return copied


def of_kind(model: onnx.ModelProto, kind: str) -> list[onnx.NodeProto]:
    return [node for node in model.graph.node if node.op_type == kind]


def default_opset(model: onnx.ModelProto) -> int:
    return next(int(one.version) for one in model.opset_import if not one.domain)


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {one.name: helper.get_attribute_value(one) for one in node.attribute}


@pytest.fixture
def exported(request: pytest.FixtureRequest, name: str) -> Any:
    """The export of a checkpoint. Read only."""
    return request.getfixturevalue(name)


@pytest.mark.parametrize("rows", TEXTS.values(), ids=TEXTS.keys())
@EACH_GRAPH
def test_answers_are_those_of_the_parts(
    exported: Any, graph: str, reads_some: bool, rows: list[str], open_graph: Open
) -> None:
    model = getattr(exported.graphs, graph)
    batch = encode(rows, exported.tokenizer)
    wanted = open_graph(model).run(None, batch)
    found = open_graph(fused(model)).run(None, batch)
    for one, other in zip(found, wanted, strict=True):
        assert one.shape == other.shape
        assert np.abs(one - other).max(initial=0) <= 1e-5 * np.abs(other).max(initial=0)


@EACH_GRAPH
def test_every_layer_has_the_operator_and_no_part_is_left(
    exported: Any, graph: str, reads_some: bool
) -> None:
    config = json.loads((exported.folder / "config.json").read_text("utf-8"))
    single = getattr(exported.graphs, graph)
    model = fused(single)
    onnx.checker.check_model(model, full_check=True)
    assert default_opset(model) == attention.OPSET == 23
    nodes = of_kind(model, "Attention")
    assert len(nodes) == config["num_hidden_layers"]
    for node in nodes:
        heads = config["num_attention_heads"]
        assert attributes(node) == {"q_num_heads": heads, "kv_num_heads": heads, "scale": 1.0}
    assert not of_kind(model, "Softmax")
    # Where masks stand is transposed too.
    places = {name for node in of_kind(single, "NonZero") for name in node.output}
    assert {name for node in of_kind(model, "Transpose") for name in node.input} <= places
    # Nor is what only the parts read.
    read = {name for node in model.graph.node for name in node.input}
    read |= {output.name for output in model.graph.output}
    assert all(read & set(node.output) for node in model.graph.node)


@EACH_GRAPH
def test_mask_has_a_row_for_each_query_and_is_shared_where_it_is_the_same(
    exported: Any, graph: str, reads_some: bool
) -> None:
    model = fused(getattr(exported.graphs, graph))
    first, last = (node.input[3] for node in of_kind(model, "Attention"))
    assert [node.output[0] for node in of_kind(model, "Expand")] == list(
        dict.fromkeys([first, last])
    )
    assert (first == last) is not reads_some

    rows = ["smm.m.xe", "s...e.pp"]
    batch = encode(rows, exported.tokenizer)
    (values,) = observe.observe(model, [first, last], [batch])
    # The masks of the row with the most; a class is read from one row, and two are run.
    reads = len(rows[0]) if not reads_some else 3 if graph == "served" else 2
    hidden = batch["attention_mask"][:, None, None] == 0
    for name, queries in ((first, len(rows[0])), (last, reads)):
        assert values[name].shape == (2, 1, queries, len(rows[0]))
        assert np.array_equal(values[name] < -1000, np.broadcast_to(hidden, values[name].shape))
        assert not values[name][values[name] > -1000].any()


def test_all_layers_but_the_last_share_the_mask(
    make_checkpoint: Callable[..., Path], export: Callable[[Path], Any]
) -> None:
    exported = export(make_checkpoint("fill-mask", num_hidden_layers=4))
    model = fused(exported.graphs.served)
    masks = [node.input[3] for node in of_kind(model, "Attention")]
    assert len(masks) == 4
    assert masks[0] == masks[1] == masks[2] != masks[3]
    assert len(of_kind(model, "Expand")) == 2


def split(name: str, permutation: list[int]) -> str:
    return f"""
        {name}_product = MatMul ({"read" if name == "q" else "x"}, {name}_weight)
        {name} = Add ({name}_product, {name}_bias)
        {name}_batch = Shape <start = 0, end = 1> ({name})
        {name}_length = Shape <start = 1, end = 2> ({name})
        {name}_shape = Concat <axis = 0> ({name}_batch, {name}_length, heads, width)
        {name}_heads = Reshape ({name}, {name}_shape)
        {name}_split = Transpose <perm = {permutation}> ({name}_heads)"""


def parts(heads: int, width: int) -> onnx.ModelProto:
    """Attention as an export has it: the queries of `read`, keys and values of `x`."""
    size = heads * width
    nodes = split("q", [0, 2, 1, 3]) + split("k", [0, 2, 3, 1]) + split("v", [0, 2, 1, 3])
    model = parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 17]>
        g (float[b, r, {size}] read, float[b, l, {size}] x, float[b, 1, 1, l] bias)
            => (float[b, r, {size}] y)
        {{{nodes}
        scores = MatMul (q_split, k_split)
        biased = Add (scores, bias)
        chances = Softmax <axis = -1> (biased)
        average = MatMul (chances, v_split)
        joined = Transpose <perm = [0, 2, 1, 3]> (average)
        joined_shape = Concat <axis = 0> (q_batch, q_length, size)
        y = Reshape (joined, joined_shape)
        }}"""
    )
    random = np.random.default_rng(0)
    weights = {"heads": np.array([heads]), "width": np.array([width]), "size": np.array([size])}
    for name in "qkv":
        weights[f"{name}_weight"] = random.normal(size=(size, size)).astype(np.float32)
        weights[f"{name}_bias"] = random.normal(size=size).astype(np.float32)
    model.graph.initializer.extend(
        numpy_helper.from_array(values, name) for name, values in weights.items()
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def of_definition(model: onnx.ModelProto, heads: int, given: Feeds) -> NDArray[np.float64]:
    """Head by head, in FP64: softmax(Q K^T + bias) V, with nothing to scale."""
    held = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    q, k, v = (
        np.split(
            given[read] @ held[f"{name}_weight"].astype(float) + held[f"{name}_bias"], heads, 2
        )
        for name, read in (("q", "read"), ("k", "x"), ("v", "x"))
    )
    averages = []
    for query, key, value in zip(q, k, v, strict=True):
        scores = query @ key.transpose(0, 2, 1) + given["bias"][:, 0]
        chances = np.exp(scores - scores.max(axis=-1, keepdims=True))
        averages.append(chances / chances.sum(axis=-1, keepdims=True) @ value)
    return np.concatenate(averages, axis=2)


@pytest.mark.parametrize(("heads", "width"), [(1, 6), (2, 3), (6, 1)])
def test_operator_is_the_definition_in_onnx_and_in_onnxruntime(
    heads: int, width: int, open_graph: Open
) -> None:
    random = np.random.default_rng(1)
    x = random.normal(size=(2, 5, 6)).astype(np.float32)
    bias = np.zeros((2, 1, 1, 5), np.float32)
    bias[0, ..., 1:3] = bias[1, ..., 4] = -10000
    given = {"read": x[:, [3, 0]], "x": x, "bias": bias}
    model = parts(heads, width)
    wanted = of_definition(model, heads, given)
    operator = fused(model)
    assert len(of_kind(operator, "Attention")) == 1
    assert not {"Softmax", "Transpose", "Reshape"} & {node.op_type for node in operator.graph.node}
    for one in (model, operator):
        for found in (ReferenceEvaluator(one).run(None, given), open_graph(one).run(None, given)):
            np.testing.assert_allclose(found[0], wanted, rtol=1e-4, atol=1e-5)


def test_graph_without_attention_keeps_its_nodes() -> None:
    model = parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17]>
        g (float[n, 4] x) => (float[n, 4] y)
        {
        product = MatMul (x, weight)
        sum = Add (product, x)
        y = LayerNormalization (sum, scale, bias)
        }"""
    )
    after = fused(model)
    assert default_opset(after) == 23
    assert after.graph == model.graph


def swap_kind(graph: onnx.GraphProto, kind: str, other: str) -> None:
    for node in graph.node:
        if node.op_type == kind:
            node.op_type = other


def lose_constants(graph: onnx.GraphProto) -> None:
    nodes = [node for node in graph.node if node.op_type != "Constant"]
    del graph.node[:]
    graph.node.extend(nodes)


def shorten_shapes(graph: onnx.GraphProto) -> None:
    for node in graph.node:
        if node.op_type == "Concat" and len(node.input) == 4:
            del node.input[2:]


def read_an_input(graph: onnx.GraphProto) -> None:
    for node in graph.node:
        if node.op_type == "Softmax":
            node.input[0] = "input_ids"


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (read_an_input, "input_ids is not the output of a Add"),
        (lambda graph: swap_kind(graph, "Add", "Sum"), "is not the output of a Add"),
        (lambda graph: swap_kind(graph, "MatMul", "Gemm"), "is not the output of a MatMul"),
        (lambda graph: swap_kind(graph, "Transpose", "Identity"), "no Transpose reads "),
        (lambda graph: swap_kind(graph, "Reshape", "Identity"), "no Reshape reads "),
        (lambda graph: swap_kind(graph, "Concat", "Sum"), "is not the output of a Concat"),
        (shorten_shapes, "is not a shape of 4 axes"),
        (lose_constants, "is not the output of a Constant"),
    ],
)
def test_graph_of_another_form_is_refused(
    wide_classifier: Any, change: Callable[[onnx.GraphProto], None], found: str
) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(wide_classifier.graphs.standard)
    change(model.graph)
    message = (
        rf"^the artifact's fp32 graph is not as this release exports it \(.*{found}.*\): build"
    )
    with pytest.raises(QuantizationError, match=message) as raised:
        attention.fuse(model)
    assert "\n" not in str(raised.value)
