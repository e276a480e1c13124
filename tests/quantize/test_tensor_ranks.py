"""How many dimensions the values of a graph have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest

from distilroberta.quantize import products
from distilroberta.quantize.tensor_ranks import ranks


@pytest.mark.parametrize("graph", ["standard", "served"])
def test_ranks_of_what_products_read_are_those_that_run(
    wide_fill_mask: Any, open_graph: Callable[..., Any], feeds: Any, graph: str
) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(getattr(wide_fill_mask.graphs, graph))
    names = [one.values for one in products.find(model.graph)]
    found = ranks(model)
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in dict.fromkeys(names))
    session = open_graph(model)
    values = session.run(names, feeds)
    assert [found[name] for name in names] == [np.ndim(one) for one in values]
    assert {found[name] for name in names} == {2, 3}


def test_graph_stays_as_it_was(wide_classifier: Any) -> None:
    model = wide_classifier.graphs.standard
    before = model.SerializeToString(deterministic=True)
    ranks(model)
    assert model.SerializeToString(deterministic=True) == before
