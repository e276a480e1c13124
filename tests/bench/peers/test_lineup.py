from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from distilroberta.bench.errors import BenchError
from distilroberta.bench.harness.suite import EngineSpec
from distilroberta.bench.peers import lineup as peer_lineup
from distilroberta.bench.peers import schemes as peer_schemes
from distilroberta.bench.peers.conversion import Peers
from distilroberta.bench.peers.lineup import DEFAULT, ENGINES, MODEL, PIPELINE, Lineup, Settings

PYTHON = Path(sys.executable)


@pytest.fixture(autouse=True)
def _other_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `peers` would make with the tools of the other environment."""

    def make(interpreter: Path, *_: Any) -> Peers:
        names = ("OpenVINO FP32", "OpenVINO INT8", "CTranslate2 INT8")
        engines = [EngineSpec(name, "module:class", {}, 1, (), interpreter) for name in names]
        return Peers(engines, {"openvino": "1.2"}, {"OpenVINO BF16": "none here"})

    monkeypatch.setattr(peer_lineup.conversion, "make", make)


def names(lineup: Lineup, level: str) -> list[str]:
    return [spec.name for spec in lineup.engines[level]]


def test_every_engine_of_a_fill_mask_checkpoint(tmp_path: Path, mini: Path) -> None:
    settings = Settings(["fp32", "int8-static", "int8"], ENGINES, 1, PYTHON)
    lineup = peer_lineup.make("fill-mask", mini, tmp_path, settings)
    assert names(lineup, MODEL) == [
        "ours fp32",
        "ours int8-static",
        "ours int8",
        "torch",
        "torch.compile",
        "optimum FP32",
        "optimum INT8 tied",
        "optimum INT8 untied",
        "quantize_dynamic INT8",
        "our graph per tensor",
        "ours int8-static in OpenVINO",
        "OpenVINO FP32",
        "OpenVINO INT8",
        "CTranslate2 INT8",
    ]
    assert names(lineup, PIPELINE) == [
        "ours fp32",
        "ours int8-static",
        "ours int8",
        "transformers on torch",
        "transformers on optimum FP32",
        "transformers on optimum INT8",
    ]
    assert (lineup.packages, lineup.left_out) == (
        {"openvino": "1.2"},
        {"OpenVINO BF16": "none here"},
    )
    # FP32 only with what computes in FP32, the others with all.
    pairs = lineup.pairs(MODEL)
    exact = [other for one, other in pairs if one == "ours fp32"]
    assert exact == ["torch", "torch.compile", "optimum FP32", "OpenVINO FP32"]
    assert [other for one, other in pairs if one == "ours int8"] == names(lineup, MODEL)[3:]
    assert "untied" in lineup.engines[PIPELINE][-1].arguments["folder"]
    # What is made is there, and is said.
    for spec in lineup.engines[PIPELINE]:
        assert spec.file_bytes > 0
    schemes = peer_schemes.of(names(lineup, MODEL))
    assert set(schemes) == {
        "ours",
        "ours int8-static in OpenVINO",
        "torch",
        "torch.compile",
        "optimum FP32",
        "optimum INT8",
        "quantize_dynamic INT8",
        "our graph per tensor",
        "OpenVINO FP32",
        "OpenVINO INT8",
        "CTranslate2 INT8",
    }


def test_nothing_is_made_for_engines_that_are_not_asked_for(
    tmp_path: Path, classifier: Path
) -> None:
    settings = Settings(["int8"], ["torch"], 2, None)
    lineup = peer_lineup.make("text-classification", classifier, tmp_path, settings)
    assert names(lineup, MODEL) == ["ours int8", "torch"]
    assert names(lineup, PIPELINE) == ["ours int8", "transformers on torch"]
    assert lineup.left_out == {}
    assert {spec.arguments["threads"] for spec in lineup.engines[MODEL]} == {2}
    assert [path.name for path in tmp_path.iterdir()] == ["artifact"]
    assert lineup.artifact.variants == ("int8",)


def test_what_other_tools_can_not_do_is_left_out(
    tmp_path: Path, classifier: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise BenchError("it can't\nbe done")

    monkeypatch.setattr(peer_lineup.optimum_export, "export", broken)
    monkeypatch.setattr(peer_lineup.conversion, "make", broken)
    settings = Settings(["int8"], DEFAULT, 1, PYTHON)
    lineup = peer_lineup.make("text-classification", classifier, tmp_path, settings)
    assert names(lineup, MODEL) == ["ours int8", "torch", "torch.compile"]
    assert lineup.left_out == dict.fromkeys(
        [
            "optimum FP32",
            "optimum INT8",
            "quantize_dynamic INT8",
            "OpenVINO FP32",
            "OpenVINO BF16",
            "OpenVINO INT8",
            "CTranslate2 INT8",
        ],
        "it can't be done",
    )


def test_without_an_environment_its_engines_are_left_out(tmp_path: Path, classifier: Path) -> None:
    settings = Settings(["int8"], ["openvino-int8", "ctranslate2-int8"], 1, None)
    lineup = peer_lineup.make("text-classification", classifier, tmp_path, settings)
    assert set(lineup.left_out) == {"OpenVINO INT8", "CTranslate2 INT8"}
    (reason,) = set(lineup.left_out.values())
    assert "peers-environment FOLDER" in reason
