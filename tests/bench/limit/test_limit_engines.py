from __future__ import annotations

import numpy as np
import pytest

from distilroberta.bench.harness.workload import Workload
from distilroberta.bench.limit import limit_engines
from distilroberta.bench.limit.limit_engines import MemoryRead, Products


@pytest.mark.parametrize("int8", [True, False])
def test_the_products_are_those_of_a_layer(workload: Workload, int8: bool) -> None:
    hidden, feed_forward = 16, 48
    results = Products(hidden, feed_forward, 1, int8=int8).call(workload)()
    rows = limit_engines.ROWS
    assert [result.shape for result in results] == [(rows, n) for n in (48, 16, 48, 16)]
    assert {result.dtype for result in results} == {np.dtype(np.int32 if int8 else np.float32)}
    inner = (16, 16, 16, 48)
    counted = sum(2 * k * result.size for k, result in zip(inner, results, strict=True))
    assert counted == limit_engines.operations(hidden, feed_forward)
    assert all(np.unique(result).size > rows for result in results)


@pytest.mark.parametrize("threads", [1, 3])
def test_every_byte_is_read_once(workload: Workload, threads: int) -> None:
    engine = MemoryRead(4000, threads)
    assert sum(part.nbytes for part in engine._parts) == 4000
    engine._parts[-1][-1] = 7
    assert engine.call(workload)() == [1] * (threads - 1) + [7]
