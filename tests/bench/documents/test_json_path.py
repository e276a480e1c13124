"""Paths into JSON documents."""

from __future__ import annotations

from typing import Any

import pytest

from distilroberta.bench.documents import json_path
from distilroberta.runtime.errors import InputError

DOCUMENT: dict[str, Any] = {
    "started": "now",
    "machine": {"cpu": "A Processor", "odd key, [it] is": 7},
    "engines": [{"name": "ours int8", "ms": [1.5, 2.5]}, {"name": "torch", "ms": []}],
    "cells": [
        {"task": "fill-mask", "workload": "16 tokens", "ratio": 2.0},
        {"task": "fill-mask", "workload": "128 tokens", "ratio": 1.5},
        "no object",
    ],
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("started", "now"),
        ("machine.cpu", "A Processor"),
        ('machine["odd key, [it] is"]', 7),
        ('engines["ours int8"].ms[1]', 2.5),
        ("engines[1].name", "torch"),
        ('cells[workload="128 tokens"].ratio', 1.5),
        ('cells[task="fill-mask", workload="16 tokens"].ratio', 2.0),
        ('cells[ratio="1.5"].workload', "128 tokens"),
    ],
)
def test_path_leads_to_the_value(path: str, value: Any) -> None:
    assert json_path.look_up(DOCUMENT, path) == value


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("stopped", "'stopped' is not at the top, which has started, machine, engines, cells"),
        ("machine.gpu", "'gpu' is not at machine, which has cpu"),
        (
            'engines["ours"]',
            '0 entries with name="ours" are at engines, which has ours int8, torch',
        ),
        ('cells[task="fill-mask"]', '2 entries with task="fill-mask" are at cells'),
        ("engines[2]", "engines has 2 entries, none at [2]"),
        ("engines.name", ".name leads nowhere from engines, a list"),
        ("started.year", ".year leads nowhere from started, a str"),
        ("machine[0]", "[0] leads nowhere from machine, a dict"),
        ("machine cpu", "can't be read from ' cpu' on"),
        (".started", "is no path"),
        ("", "is no path"),
        ("__class__", "'__class__' is not at the top"),
    ],
)
def test_path_to_nothing_is_refused(path: str, told: str) -> None:
    with pytest.raises(InputError) as error:
        json_path.look_up(DOCUMENT, path)
    assert told in str(error.value)


def test_fields_are_read_with_or_without_commas() -> None:
    expected = {"task": "fill-mask", "workloads": "16 tokens; 8 x 128 tokens"}
    written = 'task="fill-mask"{} workloads="16 tokens; 8 x 128 tokens"'
    assert json_path.fields(written.format("")) == expected
    assert json_path.fields(written.format(",")) == expected
    assert json_path.fields("") == {}


@pytest.mark.parametrize("listed", ["task=fill-mask", "fill-mask", 'task="fill-mask" x'])
def test_fields_that_are_written_otherwise_are_refused(listed: str) -> None:
    with pytest.raises(InputError, match="fields are written"):
        json_path.fields(listed)
