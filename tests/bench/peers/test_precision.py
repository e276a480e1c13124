from __future__ import annotations

import pytest

from distilroberta.bench.peers import precision
from distilroberta.bench.peers.lineup import our_name
from distilroberta.bench.peers.schemes import SCHEMES
from distilroberta.runtime import layout


@pytest.mark.parametrize(
    ("engine", "expected"),
    [
        ("ours fp32", "FP32"),
        ("ours fp16", "FP16"),
        ("ours int4", "INT4"),
        ("ours int8-static in OpenVINO", "INT8"),
        ("torch", "FP32"),
        ("torch.compile", "FP32"),
        ("transformers on torch", "FP32"),
        ("transformers on optimum INT8", "INT8"),
        ("optimum INT8 untied", "INT8"),
        ("quantize_dynamic INT8", "INT8"),
        ("our graph per tensor", "INT8"),
        ("OpenVINO BF16", "BF16"),
    ],
)
def test_precisions(engine: str, expected: str) -> None:
    assert precision.of(engine) == expected
    assert expected in precision.named(engine).upper()


def test_every_engine_has_one() -> None:
    for name in (*map(our_name, layout.VARIANTS), *(one for one in SCHEMES if one != "ours")):
        assert precision.of(name)


def test_a_name_that_says_its_precision_is_left_alone() -> None:
    assert precision.named("OpenVINO INT8") == "OpenVINO INT8"
    assert precision.named("torch") == "torch (FP32)"
