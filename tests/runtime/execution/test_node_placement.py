"""Who runs which nodes, and what may be left on the CPU."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest

from distilroberta.runtime import Artifact, ProviderError
from distilroberta.runtime.execution.node_placement import check
from distilroberta.runtime.execution.provider_options import (
    CPU,
    CUDA,
    TENSORRT,
    CudaOptions,
    TensorRTOptions,
)

SHAPES = Counter({"Gather": 3, "Unsqueeze": 2, "Concat": 1})
WORK = Counter({"MatMul": 36, "Add": 40})


@pytest.mark.parametrize("variant", ["fp32", "int8"])
def test_nodes_of_a_session_on_the_cpu(
    mini_artifact: Artifact, tmp_path: Path, variant: str
) -> None:
    """They are those of the file that onnxruntime writes after its first optimizations."""
    written = tmp_path / "optimized.onnx"
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(written)
    options.log_severity_level = 3  # it warns that the file suits this machine alone
    graph = mini_artifact.path / mini_artifact.variant(variant).graph
    onnxruntime.InferenceSession(str(graph), options, providers=[CPU])
    expected = len(onnx.load(written, load_external_data=False).graph.node)
    assert mini_artifact.session(variant, provider="cpu").nodes() == {"cpu": expected}


@pytest.mark.parametrize("options", [CudaOptions(), TensorRTOptions()], ids=["cuda", "tensorrt"])
def test_shapes_may_stay_on_the_cpu(options: Any) -> None:
    check(options, {options.needs: WORK, CPU: SHAPES})


def test_what_tensorrt_lacks_may_go_to_cuda() -> None:
    check(TensorRTOptions(cpu_nodes="none"), {TENSORRT: WORK, CUDA: WORK})


@pytest.mark.parametrize("placed", [{CPU: WORK}, {CUDA: Counter(), CPU: SHAPES}, {}])
def test_a_provider_without_a_node_is_no_provider(placed: dict[str, Counter[str]]) -> None:
    with pytest.raises(ProviderError, match="provider cuda runs no node of the graph"):
        check(CudaOptions(cpu_nodes="any"), placed)


def test_work_on_the_cpu_is_refused_by_name() -> None:
    placed = {CUDA: WORK, CPU: SHAPES + Counter({"MatMulInteger": 26, "DynamicQuantizeLinear": 2})}
    message = r"on the CPU: DynamicQuantizeLinear \(2\), MatMulInteger \(26\); choose variant fp16"
    with pytest.raises(ProviderError, match=message):
        check(CudaOptions(), placed)
    check(CudaOptions(cpu_nodes="any"), placed)


def test_none_refuses_shapes_too() -> None:
    with pytest.raises(ProviderError, match=r"Concat \(1\), Gather \(3\), Unsqueeze \(2\)"):
        check(CudaOptions(cpu_nodes="none"), {CUDA: WORK, CPU: SHAPES})
    check(CudaOptions(cpu_nodes="none"), {CUDA: WORK})
