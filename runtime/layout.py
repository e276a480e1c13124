"""The names of an artifact's files, each declared once.

Where another tool looks for a name, it is that tool's: optimum and transformers.js read
`onnx/model.onnx`, `onnx/model_fp16.onnx` and `onnx/model_quantized.onnx`.
"""

from __future__ import annotations

MANIFEST = "manifest.json"
CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
SPECIAL_TOKENS = "special_tokens_map.json"
MODEL_CARD = "README.md"

GRAPHS = "onnx"

# Variants by size, largest first. The order is that of tables and of `build`.
VARIANTS = ("fp32", "fp16", "int8-static", "int8", "int4")
# Those that `build` makes unless told otherwise.
DEFAULT_VARIANTS = ("fp32", "fp16", "int8")

# The kinds of processor an INT8 variant can be made for; what the names of sentence-transformers
# and optimum call them. `portable` is right on every machine.
TARGETS = ("portable", "avx2", "avx512", "avx512_vnni", "arm64")
PORTABLE = TARGETS[0]

_STANDARD_GRAPH = {
    "fp32": "model.onnx",
    "fp16": "model_fp16.onnx",
    "int8-static": "model_int8_static.onnx",
    "int8": "model_quantized.onnx",
    "int4": "model_q4.onnx",
}
# sentence-transformers' names, after the type of the weights.
_INT8_GRAPH = {
    "avx2": "model_quint8_avx2.onnx",
    "avx512": "model_qint8_avx512.onnx",
    "avx512_vnni": "model_qint8_avx512_vnni.onnx",
    "arm64": "model_qint8_arm64.onnx",
}


def standard_graph(variant: str, target: str = PORTABLE) -> str:
    """Return the name of the graph other tools load."""
    name = _INT8_GRAPH.get(target) if variant == "int8" else None
    return f"{GRAPHS}/{name or _STANDARD_GRAPH[variant]}"


def served_graph(variant: str) -> str:
    """Return the name of the graph the runtime runs where it answers in another shape.

    It holds no large weight of its own: it reads them from the standard graph's file.
    """
    return f"{GRAPHS}/served_{variant.replace('-', '_')}.onnx"


TASKS = (
    "fill-mask",
    "text-classification",
    "token-classification",
    "question-answering",
    "feature-extraction",
)
# Tasks that run on an artifact that was built for another.
BUILT_FOR = {"zero-shot-classification": "text-classification"}
TASK_ALIASES = {"sentiment-analysis": "text-classification", "ner": "token-classification"}
