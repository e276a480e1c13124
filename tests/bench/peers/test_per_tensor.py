"""The plain INT8 form: the graph, and the integers it computes with."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from distilroberta.bench.engines.sessions import ArtifactSession, OnnxSession
from distilroberta.bench.harness.workload import Shape
from distilroberta.bench.models import texts
from distilroberta.bench.peers import per_tensor
from distilroberta.bench.peers.per_tensor import quantize_products
from distilroberta.quantize.columns import quantize_columns
from distilroberta.runtime import Artifact

Weight = NDArray[np.float32]


def run(model: onnx.ModelProto, feeds: dict[str, NDArray[Any]]) -> Any:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, feeds)[0]


def quantized(model: onnx.ModelProto) -> tuple[onnx.ModelProto, int]:
    copied = onnx.ModelProto.FromString(model.SerializeToString())
    return copied, quantize_products(copied)


def kinds(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


def product_of(*columns: Weight) -> onnx.ModelProto:
    """A graph of one output that adds up the products of its input with some weights."""
    names = [f"w{index}" for index in range(len(columns))]
    nodes = [helper.make_node("MatMul", ["x", name], [f"x{name}"]) for name in names]
    nodes.append(helper.make_node("Sum", [f"x{name}" for name in names], ["y"]))
    ends = [helper.make_tensor_value_info(end, TensorProto.FLOAT, ["n", None]) for end in "xy"]
    tensors = [numpy_helper.from_array(*pair) for pair in zip(columns, names, strict=True)]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], initializer=tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("rows", [1, 5])
def test_product_is_that_of_the_integers(rows: int) -> None:
    random = np.random.default_rng(rows)
    weight = random.normal(size=(32, 7)).astype(np.float32)
    x = random.normal(size=(rows, 32)).astype(np.float32)
    found = run(quantized(product_of(weight))[0], {"x": x})

    # DynamicQuantizeLinear: the range holds zero; 255 steps; zero point rounded half to even.
    low, high = min(x.min(), 0), max(x.max(), 0)
    scale = np.float32((high - low) / np.float32(255))
    zero = np.clip(np.rint(-low / scale), 0, 255)
    x_codes = np.clip(np.rint(x / scale) + zero, 0, 255).astype(np.int64)
    codes, scales = quantize_columns(weight)
    integers = (x_codes - int(zero)) @ codes.astype(np.int64)
    wanted = integers.astype(np.float32) * (scale * scales)
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=0)
    np.testing.assert_allclose(found, x @ weight, atol=0.2)


def test_input_of_zeros_gives_zeros() -> None:
    model, _ = quantized(product_of(np.float32([[1, -2], [3, 4]])))
    assert run(model, {"x": np.zeros((3, 2), np.float32)}).tolist() == [[0, 0]] * 3


def test_value_that_several_products_read_is_quantized_once() -> None:
    random = np.random.default_rng(0)
    columns = [random.normal(size=(8, 4)).astype(np.float32) for _ in range(3)]
    model, count = quantized(product_of(*columns))
    assert count == 3
    assert kinds(model)["MatMulInteger"] == 3
    assert kinds(model)["DynamicQuantizeLinear"] == 1


def test_weight_that_two_products_read_is_stored_once() -> None:
    model = product_of(*np.ones((2, 8, 4), np.float32))
    model.graph.node[1].input[1] = "w0"
    found, count = quantized(model)
    assert count == 2
    assert [tensor.name for tensor in found.graph.initializer] == ["w0_quantized", "w0_scale"]


@pytest.fixture(params=["mini_artifact", "classifier_artifact"])
def artifact(request: pytest.FixtureRequest) -> Artifact:
    return request.getfixturevalue(request.param)


def test_every_product_with_a_weight_is_quantized_and_attention_is_that_of_int8(
    artifact: Artifact, tmp_path: Path
) -> None:
    per_tensor.write(artifact, tmp_path / "made.onnx")
    made = onnx.load(tmp_path / "made.onnx")
    onnx.checker.check_model(made)
    before = onnx.load(artifact.path / artifact.variant("fp32").graph)
    weights = {tensor.name for tensor in before.graph.initializer}
    kinds_before = [
        node.input[1] in weights for node in before.graph.node if node.op_type == "MatMul"
    ]
    assert kinds(made)["MatMulInteger"] == kinds_before.count(True) > 0
    # Two in each layer, in one operator now, as in `int8`.
    assert kinds(made)["MatMul"] == 0
    assert 2 * kinds(made)["Attention"] == kinds_before.count(False) > 0
    int8 = onnx.load(artifact.path / artifact.variant("int8").graph, load_external_data=False)
    assert kinds(made)["Attention"] == kinds(int8)["Attention"]
    assert {one.domain: one.version for one in made.opset_import} == {
        one.domain: one.version for one in int8.opset_import
    }
    large = [
        tensor.name
        for tensor in made.graph.initializer
        if tensor.data_type == TensorProto.FLOAT and len(tensor.dims) == 2
    ]
    assert [name for name in large if "scales" not in name] == [
        name for name in weights if name.endswith("position_embeddings")
    ]


def test_it_answers_like_the_artifact(artifact: Artifact, tmp_path: Path) -> None:
    (workload,) = texts.of_artifact(artifact, [Shape(2, 12)])
    per_tensor.write(artifact, tmp_path / "made.onnx")
    found = OnnxSession(str(tmp_path / "made.onnx"), 1).answer(workload)
    wanted = ArtifactSession(str(artifact.path), "fp32", 1).answer(workload)
    assert found.shape == wanted.shape
    apart = found - found.mean(axis=1, keepdims=True), wanted - wanted.mean(axis=1, keepdims=True)
    assert np.corrcoef(apart[0].ravel(), apart[1].ravel())[0, 1] > 0.95
