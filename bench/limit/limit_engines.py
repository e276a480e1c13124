"""What shows what a machine can do at most: matrix products and reading, with nothing around them.

They run in a process of their own, with as many threads as the engines, in the same rounds, and
answer nothing. What they do does not depend on the workload.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from distilroberta.bench.harness.workload import Workload

# Rows of the activations. On a Xeon with AVX512 VNNI, rates hardly changed from 64 to 1,024 rows.
ROWS = 256


def layer(hidden: int, feed_forward: int) -> list[tuple[int, int]]:
    """Return the shapes of a layer's weights, (inner, columns): Q, K and V are one product."""
    square = (hidden, hidden)
    return [(hidden, 3 * hidden), square, (hidden, feed_forward), (feed_forward, hidden)]


def operations(hidden: int, feed_forward: int) -> int:
    """Return the operations of a layer's products for `ROWS` tokens."""
    return sum(2 * ROWS * inner * columns for inner, columns in layer(hidden, feed_forward))


class Products:
    """The products of one layer's shapes in onnxruntime, with constant random weights.

    In 8 bits these are `MatMulInteger` of U8 activations and S8 weights, which is the kind its
    kernels for x86 are made for; in FP32 `MatMul`.
    """

    def __init__(self, hidden: int, feed_forward: int, threads: int, *, int8: bool) -> None:
        """Make the graph and the activations."""
        import onnxruntime
        from onnx import TensorProto, helper, numpy_helper

        random = np.random.default_rng(0)
        operator = "MatMulInteger" if int8 else "MatMul"
        types = (TensorProto.UINT8, TensorProto.INT32) if int8 else (TensorProto.FLOAT,) * 2
        nodes, weights, inputs, outputs = [], [], {}, []
        self._feeds = {}
        for number, (inner, columns) in enumerate(layer(hidden, feed_forward)):
            activation, weight, result = f"x{inner}", f"w{number}", f"y{number}"
            values = random.standard_normal((inner, columns), dtype=np.float32)
            rows = random.standard_normal((ROWS, inner), dtype=np.float32)
            if int8:
                values = np.clip(np.rint(values * 32), -127, 127).astype(np.int8)
                rows = np.clip(np.rint(rows * 32) + 128, 0, 255).astype(np.uint8)
            weights.append(numpy_helper.from_array(values, weight))
            self._feeds[activation] = rows
            inputs[activation] = helper.make_tensor_value_info(activation, types[0], [ROWS, inner])
            nodes.append(helper.make_node(operator, [activation, weight], [result]))
            outputs.append(helper.make_tensor_value_info(result, types[1], [ROWS, columns]))
        graph = helper.make_graph(nodes, "products", list(inputs.values()), outputs, weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def call(self, workload: Workload) -> Callable[[], Any]:
        """Run all products once."""
        return lambda: self._session.run(None, self._feeds)


class MemoryRead:
    """Reads some bytes once, each thread a part of its own.

    It is numpy's maximum of FP32 values, which does little enough for each of them. Where the bytes
    fit into a cache they are read from there, as an engine's weights are.
    """

    def __init__(self, size: int, threads: int) -> None:
        """Fill `size` bytes."""
        values = np.ones(size // 4, dtype=np.float32)
        self._parts = np.array_split(values, threads)
        self._pool = ThreadPoolExecutor(threads)

    def call(self, workload: Workload) -> Callable[[], Any]:
        """Read all bytes once."""
        return lambda: list(self._pool.map(np.max, self._parts))
