"""What the values of a graph are computed from.

The standard and the served graph of a checkpoint compute the same from the same weights, but the
served one selects rows in between, and its values and nodes have names of their own.
"""

from __future__ import annotations

import hashlib

import onnx

# Nodes that hand on values of their first input, unchanged.
MOVES = frozenset(
    {
        *("Expand", "Flatten", "Gather", "GatherElements", "GatherND", "Identity", "Reshape"),
        *("Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"),
    }
)


def origins(graph: onnx.GraphProto) -> dict[str, str]:
    """Return for each value what it is computed from, where values were only moved the same.

    An input or a weight is its own origin. That of a constant is its content, and that of any other
    value the kind of its node and the origins of what it reads, as a digest. Attributes other than
    a constant's count for nothing.
    """
    found = {value.name: value.name for value in graph.input}
    found |= {tensor.name: tensor.name for tensor in graph.initializer}
    for node in graph.node:
        read = [found[name] for name in node.input if name]
        if node.op_type == "Constant":
            read = [attribute.SerializeToString().hex() for attribute in node.attribute]
        for index, output in enumerate(node.output):
            if node.op_type in MOVES:
                found[output] = read[0]
            else:
                parts = "\n".join((node.op_type, str(index), *read))
                found[output] = hashlib.sha256(parts.encode()).hexdigest()
    return found
