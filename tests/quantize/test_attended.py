"""The product that makes what attention averages is found, and for nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from distilroberta.quantize import products
from distilroberta.quantize.attended import maker_of_values

EXPORTS = ["wide_fill_mask", "wide_classifier", "wide_tagger", "wide_answerer"]


@pytest.mark.parametrize("name", EXPORTS)
def test_maker_is_the_product_of_the_same_layer(name: str, request: pytest.FixtureRequest) -> None:
    graphs = request.getfixturevalue(name).graphs
    for model in filter(None, (graphs.standard, graphs.served)):
        found = products.find(model.graph)
        makers = {one.weight: maker_of_values(model.graph, one.values, found) for one in found}
        attention = {weight for weight, maker in makers.items() if maker is not None}
        assert attention == {one.weight for one in found if "attention_output" in one.weight}
        for weight in attention:
            layer = weight.removesuffix("block.attention_output.weight")
            assert makers[weight].weight == f"{layer}attention.value.weight"


def test_input_of_a_graph_has_no_maker(wide_classifier: Any) -> None:
    graph = wide_classifier.graphs.standard.graph
    assert maker_of_values(graph, "input_ids", products.find(graph)) is None
