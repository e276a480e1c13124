"""Graphs in ONNX Runtime: sessions, threads, processes, memory and execution providers."""
