"""Which execution provider runs which nodes of a loaded graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from distilroberta.runtime.errors import ProviderError
from distilroberta.runtime.execution.provider_options import CPU, CudaOptions, TensorRTOptions

# Without it a session does not know where its nodes are.
RECORD = "session.record_ep_graph_assignment_info"

# The integer operators that work out the shapes of other tensors. onnxruntime's CUDA provider
# leaves them on the CPU where the results of `Shape` are (GetCpuPreferredNodes in its
# fallback_cpu_capability.cc): on the GPU each would wait for a copy there and back.
_OF_SHAPES = frozenset(
    {
        *("Add", "Cast", "Concat", "ConstantOfShape", "Div", "Equal", "Expand", "Gather"),
        *("Greater", "Less", "Max", "Min", "Mul", "Range", "ReduceMax", "ReduceProd", "Reshape"),
        *("Shape", "Size", "Slice", "Squeeze", "Sub", "Unsqueeze", "Where"),
    }
)

# Operators by name, with how many nodes each has.
Operators = Counter[str]


def of(session: Any) -> dict[str, Operators]:
    """Return the operators that each execution provider runs, by onnxruntime's names.

    What is counted are the nodes after the first optimizations, before each provider fuses its own.

    Args:
        session: an `onnxruntime.InferenceSession` that was opened with `RECORD` set to 1.
    """
    found: dict[str, Operators] = {}
    for part in session.get_provider_graph_assignment_info():
        operators = found.setdefault(part.ep_name, Counter())
        operators.update(node.op_type for node in part.get_nodes())
    return found


def check(options: CudaOptions | TensorRTOptions, placed: Mapping[str, Operators]) -> None:
    """Check that the provider which was asked for does the work.

    Raises:
        ProviderError: it has no node, or the CPU has nodes that `options.cpu_nodes` does not allow.
    """
    if not placed.get(options.needs):
        raise ProviderError(
            f"provider {options.name} runs no node of the graph; choose provider cpu, or another "
            "variant"
        )
    on_cpu = placed.get(CPU, Counter())
    allowed = {"any": set(on_cpu), "shapes": _OF_SHAPES, "none": set()}[options.cpu_nodes]
    refused = sorted(name for name in on_cpu if name not in allowed)
    if refused:
        listed = ", ".join(f"{name} ({on_cpu[name]})" for name in refused)
        raise ProviderError(
            f"provider {options.name} leaves operators of the graph on the CPU: {listed}; choose "
            f"variant fp16 or fp32, or allow it with {type(options).__name__}(cpu_nodes='any')"
        )
