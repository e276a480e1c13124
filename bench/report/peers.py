"""The results of `bench peers`: this project's engines beside others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from distilroberta.bench.report.comparison import (
    Comparison,
    EngineRatio,
    comparison,
    engine_ratios,
)
from distilroberta.bench.report.fields import Fields


@dataclass(frozen=True)
class Peers:
    """Engines on one task, asked as bare models or as whole pipelines."""

    task: str
    level: str
    comparison: Comparison
    ratios: tuple[EngineRatio, ...]


@dataclass(frozen=True)
class PeersResults:
    """All that one run of `bench peers` found.

    `schemes` say how the engines' graphs were made, `left_out` why an engine was not run.
    """

    comparisons: tuple[Peers, ...]
    schemes: Mapping[str, str]
    left_out: Mapping[str, str]


def peers_results(fields: Fields) -> PeersResults:
    """Read the fields of `bench peers`.

    Raises:
        InputError: a field is missing or not what it must be.
    """
    return PeersResults(
        tuple(map(_peers, fields.listed("comparisons"))),
        fields.named_texts("schemes"),
        fields.named_texts("left_out"),
    )


def _peers(fields: Fields) -> Peers:
    return Peers(
        fields.text("task"), fields.text("level"), comparison(fields), engine_ratios(fields)
    )
