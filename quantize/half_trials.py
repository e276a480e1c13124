"""Trials of half precision: nodes of an FP32 graph computed again on rounded inputs.

A graph stored in half precision rounds every value between two nodes; within a node, the kernels of
a GPU add up in FP32. So a node is computed in FP32 again, on inputs that were rounded, and the
result compared with the exact one. An input that would stay in FP32 is computed again too, from
what is rounded before it. These nodes stand beside the graph and give one number for each trial,
which keeps memory bounded.

To run the FP16 graph itself would not show the loss: on a CPU, onnxruntime computes it in FP32 and
leaves out most of the roundings.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from distilroberta.quantize import observe
from distilroberta.quantize.origin import MOVES, origins
from distilroberta.quantize.recipe import Feed

_SMALLEST = 1e-30


def float_values(model: onnx.ModelProto) -> frozenset[str]:
    """Return the names of a graph's FP32 values: inputs, weights, and what nodes give."""
    # Inferred without the weights, which inference would copy.
    light = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    graph = light.graph
    graph.name = model.graph.name
    graph.node.extend(model.graph.node)
    graph.input.extend(model.graph.input)
    graph.output.extend(model.graph.output)
    graph.input.extend(
        helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        for tensor in model.graph.initializer
    )
    inferred = onnx.shape_inference.infer_shapes(light).graph
    values = (*inferred.input, *inferred.value_info, *inferred.output)
    kinds = {value.name: value.type.tensor_type.elem_type for value in values}
    return frozenset(name for name, kind in kinds.items() if kind == TensorProto.FLOAT)


@dataclass(frozen=True)
class Trial:
    """A node, by its first output, to be computed again.

    All floats it is computed from are rounded to half precision but those of the origins `exact`;
    if `only` names an origin, that one alone is rounded.
    """

    node: str
    exact: frozenset[str] = frozenset()
    only: str | None = None


class Trials:
    """An FP32 graph to try nodes of. It is changed while `measure` runs, and left as it was."""

    def __init__(self, model: onnx.ModelProto) -> None:
        """Look at a graph's types and origins."""
        self._model = model
        self._makers = {output: node for node in model.graph.node for output in node.output}
        self.floats = float_values(model)
        self.origins = origins(model.graph)
        # The nodes that compute floats from floats, by their first output, in graph order.
        self.nodes = tuple(
            str(node.output[0])
            for node in model.graph.node
            if node.op_type not in MOVES
            and node.output[0] in self.floats
            and not self.floats.isdisjoint(node.input)
        )

    def weight_sizes(self) -> dict[str, float]:
        """Return the largest absolute size of each weight."""
        return {
            tensor.name: float(np.abs(numpy_helper.to_array(tensor)).max(initial=0))
            for tensor in self._model.graph.initializer
            if tensor.name in self.floats
        }

    def reading(self, exact: frozenset[str]) -> list[str]:
        """Return the nodes that read a value of these origins."""
        return [
            node
            for node in self.nodes
            if any(self.origins[name] in exact for name in self._floats_of(node))
        ]

    def rounded(self, trial: Trial) -> frozenset[str]:
        """Return the origins of what a trial rounds."""
        found: set[str] = set()
        for name in self._floats_of(trial.node):
            if self.origins[name] not in trial.exact:
                found.add(self.origins[name])
            elif name in self._makers:
                found |= self.rounded(Trial(name, trial.exact))
        return frozenset(found)

    def measure(
        self, values: Iterable[str], trials: Collection[Trial], feeds: Sequence[Feed]
    ) -> tuple[dict[str, float], dict[Trial, float]]:
        """Run batches.

        Args:
            values: what nodes give, to find the largest of.
            trials: the trials.
            feeds: the batches.

        Returns:
            The largest absolute size of each value, and the largest loss of each trial: the
            Euclidean length of a row's error divided by that of the row, infinite where half
            precision overflows.
        """
        meter = _Meter(self, self._makers)
        sizes = {name: meter.largest(name) for name in sorted(values)}
        squares = {trial: meter.squared_loss(trial) for trial in trials}
        seen: dict[str, Any] = dict.fromkeys((*sizes.values(), *squares.values()), np.float32(0))
        with _with_nodes(self._model.graph, meter.nodes):
            for found in observe.observe(self._model, tuple(seen), feeds):
                for name, number in found.items():
                    seen[name] = np.maximum(seen[name], number)
        return (
            {name: float(seen[size]) for name, size in sizes.items()},
            {trial: float(np.sqrt(seen[square])) for trial, square in squares.items()},
        )

    def _floats_of(self, node: str) -> list[str]:
        return [name for name in self._makers[node].input if name in self.floats]


@contextmanager
def _with_nodes(graph: onnx.GraphProto, nodes: Sequence[onnx.NodeProto]) -> Iterator[None]:
    before = len(graph.node)
    graph.node.extend(nodes)
    try:
        yield
    finally:
        del graph.node[before:]


class _Meter:
    """Makes nodes that measure, each chain of them ending in one number."""

    def __init__(self, trials: Trials, makers: dict[str, onnx.NodeProto]) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self._floats, self._origins, self._makers = trials.floats, trials.origins, makers
        self._count = count()
        self._rounded: dict[str, str] = {}
        self._again: dict[Trial, str] = {}
        self._last_axis = self._constant(TensorProto.INT64, [1], -1)
        self._smallest = self._constant(TensorProto.FLOAT, [], _SMALLEST)
        self._infinity = self._constant(TensorProto.FLOAT, [], math.inf)

    def largest(self, name: str) -> str:
        """Return the name of the largest absolute value."""
        return self._node("ReduceMax", self._node("Abs", name), keepdims=0)

    def squared_loss(self, trial: Trial) -> str:
        """Return the name of the largest squared relative error of a row."""
        error = self._squares(self._node("Sub", self._compute(trial), trial.node))
        length = self._node("Max", self._squares(trial.node), self._smallest)  # a row of zeros
        loss = self._node("Div", error, length)
        # A maximum would pass over what is not a number, which overflow leads to.
        loss = self._node("Where", self._node("IsNaN", loss), self._infinity, loss)
        return self._node("ReduceMax", loss, keepdims=0)

    def _compute(self, trial: Trial) -> str:
        if trial not in self._again:
            node = onnx.NodeProto()
            node.CopyFrom(self._makers[trial.node])
            node.name = self._name()
            node.input[:] = [self._input(name, trial) for name in node.input]
            for index, output in enumerate(node.output):
                node.output[index] = f"{node.name}_{index}"
                self._again[Trial(output, trial.exact, trial.only)] = node.output[index]
            self.nodes.append(node)
        return self._again[trial]

    def _input(self, name: str, trial: Trial) -> str:
        if name not in self._floats:
            return name
        origin = self._origins[name]
        if origin not in trial.exact:
            return self._in_half(name) if trial.only in (None, origin) else name
        if name not in self._makers:
            return name
        return self._compute(Trial(name, trial.exact, trial.only))

    def _in_half(self, name: str) -> str:
        if name not in self._rounded:
            half = self._node("Cast", name, to=TensorProto.FLOAT16)
            self._rounded[name] = self._node("Cast", half, to=TensorProto.FLOAT)
        return self._rounded[name]

    def _squares(self, name: str) -> str:
        return self._node("ReduceSum", self._node("Mul", name, name), self._last_axis)

    def _constant(self, kind: int, dims: list[int], value: float) -> str:
        return self._node("Constant", value=helper.make_tensor("value", kind, dims, [value]))

    def _node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = self._name()
        self.nodes.append(helper.make_node(kind, inputs, [f"{name}_0"], name=name, **attributes))
        return f"{name}_0"

    def _name(self) -> str:
        return f"half_trial_{next(self._count)}"
