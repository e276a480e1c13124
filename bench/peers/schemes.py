"""How each engine of `lineup.py` is made and run, for reports."""

from __future__ import annotations

from distilroberta.bench.models import optimum_export
from distilroberta.bench.peers import conversion, per_tensor

_SESSION = "a bare onnxruntime session, its defaults but for the threads"
_PIPE = "transformers.pipeline, the texts of a call as one batch"
# By the engine's name, or what its name begins with.
SCHEMES = {
    "ours": (
        "distilroberta build; Artifact.session for token ids, pipeline() for texts, with their "
        "defaults but for the threads"
    ),
    "torch": "the transformers model, eager, FP32, torch.inference_mode",
    "torch.compile": (
        "the same model through torch.compile(dynamic=False), inductor with freezing and otherwise "
        "its defaults, compiled for each shape before it is timed"
    ),
    "optimum FP32": f"optimum-cli export onnx; {_SESSION}",
    "optimum INT8": f"{optimum_export.INT8_SCHEME}; {_SESSION}",
    "quantize_dynamic INT8": (
        f"onnxruntime.quantization.quantize_dynamic, S8 weights per channel; {_SESSION}"
    ),
    "our graph per tensor": f"{per_tensor.SCHEME}; {_SESSION}",
    "OpenVINO FP32": (
        "openvino.convert_model, weights stored in FP16; PERFORMANCE_HINT LATENCY, "
        "INFERENCE_PRECISION_HINT f32, inputs and outputs shared"
    ),
    "OpenVINO BF16": "as OpenVINO FP32, with INFERENCE_PRECISION_HINT bf16",
    "OpenVINO INT8": (
        f"{conversion.OPENVINO_SCHEME}; PERFORMANCE_HINT LATENCY, inputs and outputs shared"
    ),
    "ours int8-static in OpenVINO": "the variant's standard graph; as OpenVINO INT8",
    "CTranslate2 INT8": f"{conversion.CTRANSLATE2_SCHEME}; inter_threads 1",
    "transformers on torch": f"{_PIPE}, on torch in FP32",
    "transformers on optimum FP32": f"{_PIPE}, on ORTModel of the FP32 export",
    "transformers on optimum INT8": (
        f"{_PIPE}, on ORTModel of the file through ORTQuantizer; for fill-mask the untied one"
    ),
}


def of(names: list[str]) -> dict[str, str]:
    """Return the schemes of the engines with these names."""
    found = {}
    for name in names:
        scheme = max((one for one in SCHEMES if name.startswith(one)), key=len)
        found[scheme] = SCHEMES[scheme]
    return found
