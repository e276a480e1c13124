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
VARIANTS = ("fp32", "fp16", "int8")

STANDARD_GRAPH = {
    "fp32": f"{GRAPHS}/model.onnx",
    "fp16": f"{GRAPHS}/model_fp16.onnx",
    "int8": f"{GRAPHS}/model_quantized.onnx",
}
# For tasks whose served graph answers in another shape than the standard one. It holds no large
# weight of its own: it reads them from the standard graph's file.
SERVED_GRAPH = {variant: f"{GRAPHS}/served_{variant}.onnx" for variant in VARIANTS}

TASKS = ("fill-mask", "text-classification")
TASK_ALIASES = {"sentiment-analysis": "text-classification"}
