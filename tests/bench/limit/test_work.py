from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from distilroberta.bench.errors import BenchError
from distilroberta.bench.harness.workload import Shape, Workload
from distilroberta.bench.limit.work import Work, count
from distilroberta.bench.models.texts import of_artifact
from distilroberta.quantize.products import FEWEST_COLUMNS
from distilroberta.runtime import Artifact

# 32 columns of anything: what a product needs that takes whole blocks of 32.
WIDE = np.ones((4, 32), dtype=np.float32)


def save(path: Path, nodes: list[onnx.NodeProto], opset: int = 17, **weights: np.ndarray) -> Path:
    """Write a graph whose nodes read `x`, the token ids as float32 (1, 4), and give `logits`."""
    cast = helper.make_node("Cast", ["input_ids"], ["x"], to=TensorProto.FLOAT)
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "length"])
    logits = onnx.ValueInfoProto(name="logits")
    initializers = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    model = helper.make_model(
        helper.make_graph([cast, *nodes], "graph", [ids], [logits], initializers),
        opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)],
        ir_version=8,
    )
    onnx.save(model, str(path))
    return path


def node(kind: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, inputs.split(), [output], name=output, **attributes)


def nbits(accuracy: int) -> onnx.NodeProto:
    return node(
        "MatMulNBits",
        "wide codes scales",
        "logits",
        domain="com.microsoft",
        K=32,
        N=8,
        bits=4,
        block_size=32,
        accuracy_level=accuracy,
    )


def test_products_of_each_kind(tmp_path: Path, workload: Workload) -> None:
    ones = np.ones((4, 6), dtype=np.float32)
    zero, one = np.array(0, dtype=np.uint8), np.array(1, dtype=np.float32)
    blocks = {"codes": np.zeros((8, 1, 16), np.uint8), "scales": np.ones(8, np.float32)}
    cases: list[tuple[list[onnx.NodeProto], dict[str, np.ndarray], Work]] = [
        ([node("MatMul", "x w", "logits")], {"w": ones}, Work(0, 48, 96)),
        ([node("Gemm", "x w", "logits", transB=1)], {"w": ones.T.copy()}, Work(0, 48, 96)),
        (
            [
                node("QuantizeLinear", "x one zero", "u8"),
                node("MatMulInteger", "u8 w", "logits"),
            ],
            {"one": one, "zero": zero, "w": ones.astype(np.int8)},
            Work(48, 0, 24),
        ),
        (  # dequantized on both sides, as QDQ has it; the weight's scale is read as well
            [
                node("QuantizeLinear", "x one zero", "u8"),
                node("DequantizeLinear", "u8 one zero", "back"),
                node("DequantizeLinear", "w scale", "wide"),
                node("MatMul", "back wide", "logits"),
            ],
            {"one": one, "zero": zero, "w": ones.astype(np.int8), "scale": one},
            Work(48, 0, 24 + 4),
        ),
        (  # the weight alone is quantized: a product in FP32
            [node("DequantizeLinear", "w one", "wide"), node("MatMul", "x wide", "logits")],
            {"one": one, "w": ones.astype(np.int8)},
            Work(0, 48, 24 + 4),
        ),
        (
            [node("MatMul", "x w", "wide"), nbits(4)],
            {"w": WIDE, **blocks},
            Work(512, 256, 512 + 128 + 32),
        ),
        (
            [node("MatMul", "x w", "wide"), nbits(0)],
            {"w": WIDE, **blocks},
            Work(0, 256 + 512, 512 + 128 + 32),
        ),
        (  # attention: two activations, and nothing to read
            [node("Transpose", "x", "y"), node("MatMul", "y x", "logits")],
            {},
            Work(0, 32, 0),
        ),
        (  # one weight, seen in two shapes, is read once
            [
                node("Reshape", "w shape", "other"),
                node("MatMul", "x w", "once"),
                node("MatMul", "once other", "logits"),
            ],
            {"w": ones[:, :4].copy(), "shape": np.array([4, 4])},
            Work(0, 64, 64 + 16),
        ),
    ]
    for number, (nodes, weights, expected) in enumerate(cases):
        path = save(tmp_path / f"{number}.onnx", nodes, **weights)
        assert count(path, [workload]) == {workload.name: expected}, number


@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("is_split", [False, True])
def test_attention_is_two_products_of_activations(
    tmp_path: Path, workload: Workload, heads: int, is_split: bool
) -> None:
    """Of 2 queries and 6 keys of width 2, however many heads share it and wherever they stand."""
    shapes = {"two": np.array([1, 2, 2]), "six": np.array([1, 6, 2])}
    attributes = {"q_num_heads": heads, "kv_num_heads": heads}
    if is_split:
        shapes = {
            "two": np.array([1, heads, 2, 2 // heads]),
            "six": np.array([1, heads, 6, 2 // heads]),
        }
        attributes = {}
    nodes = [
        node("MatMul", "x w", "twelve"),
        node("Reshape", "x two", "q"),
        node("Reshape", "twelve six", "k"),
        node("Attention", "q k k", "logits", **attributes),
    ]
    w = np.ones((4, 12), dtype=np.float32)
    path = save(tmp_path / "model.onnx", nodes, opset=23, w=w, **shapes)
    # 4 to 12; then each of 2 rows with each of 6, over 2 channels, and back.
    product, attention = 2 * 4 * 12, 2 * (2 * 6 * 2) + 2 * (2 * 6 * 2)
    size = w.nbytes + shapes["six"].nbytes  # and the shape that the keys are seen in
    assert count(path, [workload]) == {workload.name: Work(0, product + attention, size)}


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [
        ("FusedMatMul", {}),
        ("MultiHeadAttention", {"num_heads": 1}),
        ("Attention", {"num_heads": 1, "domain": "com.microsoft"}),
        ("Gemm", {"transA": 1}),
    ],
)
def test_a_product_that_is_not_known_is_no_silent_zero(
    tmp_path: Path, workload: Workload, kind: str, attributes: dict[str, Any]
) -> None:
    path = save(tmp_path / "model.onnx", [node(kind, "x x", "logits", **attributes)])
    with pytest.raises(BenchError, match=f"the work of node logits, {kind}, is not known"):
        count(path, [workload])


@pytest.mark.parametrize("task", ["fill-mask", "text-classification"])
@pytest.mark.parametrize("shape", [Shape(1, 16), Shape(3, 12)])
def test_the_served_graphs_follow_the_formula(
    mini_artifact: Artifact, classifier_artifact: Artifact, task: str, shape: Shape
) -> None:
    artifact = mini_artifact if task == "fill-mask" else classifier_artifact
    config = json.loads((artifact.path / "config.json").read_text("utf-8"))
    h, f, n = (config[k] for k in ("hidden_size", "intermediate_size", "num_hidden_layers"))
    c = config["vocab_size"] if task == "fill-mask" else len(config["id2label"])
    b, length = shape
    t, r = b * length, b  # one mask in a text, or its <s>
    attended = 2 * r
    attention = (n - 1) * 4 * b * length**2 * h + 4 * attended * length * h
    layers = (n - 1) * (8 * t * h * h + 4 * t * h * f)
    last = 4 * t * h * h + 2 * (attended + r) * h * h + 4 * r * h * f
    head = 2 * r * h * h + 2 * r * h * c
    weights = n * (4 * h * h + 2 * h * f) + h * h + h * c
    (workload,) = of_artifact(artifact, [shape])
    for name in ("fp32", "int8"):
        found = count(artifact.file(artifact.variant(name).graph), [workload])[workload.name]
        operations = found.int8_operations + found.float_operations
        assert operations == attention + layers + last + head
        if name == "fp32":
            assert found.int8_operations == 0
            # Besides the matrices there is the bias of the vocabulary, which Gemm adds.
            assert 0 <= found.weight_bytes - 4 * weights <= 4 * (c + h)
        else:
            # Products of a head with few columns stay in FP32.
            heads = [h * h] if task == "fill-mask" else [h * h, h * c]
            few = [size for size in heads if size // h < FEWEST_COLUMNS]
            assert found.float_operations == attention + 2 * r * sum(few)
            assert weights <= found.weight_bytes - 3 * sum(few) <= 1.15 * weights
