"""FP32 graphs to smaller ones: FP16, and INT8 with one embedding for input and output.

Needs the `quantize` extra: pip install 'distilroberta-onnx[quantize]'.
"""
