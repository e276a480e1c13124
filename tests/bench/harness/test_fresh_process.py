from __future__ import annotations

import os
import time

import pytest

from distilroberta.bench.errors import BenchError, WorkerError
from distilroberta.bench.harness.fresh_process import lines

pytestmark = pytest.mark.usefixtures("_fake_engines")

CHILD = "fake_children"


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_what_a_process_writes_comes_line_by_line() -> None:
    assert list(lines("child", CHILD, "writes", "1", '{"two": [3.5, null]}')) == [
        1,
        {"two": [3.5, None]},
    ]


def test_a_line_comes_before_the_process_ends() -> None:
    found = lines("child", CHILD, "waits")
    pid = next(found)
    assert is_alive(pid)
    found.close()  # type: ignore[attr-defined]
    assert not is_alive(pid)


def test_a_process_that_fails_is_an_error_after_its_lines() -> None:
    found = lines("child", CHILD, "raises")
    assert next(found) == 1
    with pytest.raises(
        WorkerError, match=r"child: its process ended with code 1(?s:.*)not there"
    ) as e:
        next(found)
    assert isinstance(e.value, BenchError)
    assert "Traceback" in e.value.stderr


def test_a_module_that_is_not_there() -> None:
    with pytest.raises(WorkerError, match="no_such_module"):
        list(lines("child", "no_such_module"))


def test_what_is_no_json_is_an_error() -> None:
    with pytest.raises(WorkerError, match="wrote what is no line of JSON: 'loading"):
        list(lines("child", CHILD, "writes", "loading weights"))


def test_a_process_that_takes_too_long_is_killed() -> None:
    begun = time.monotonic()
    found = lines("child", CHILD, "waits", patience=5.0)
    pid = next(found)
    with pytest.raises(WorkerError, match="child: took longer than 5 s"):
        next(found)
    assert time.monotonic() - begun < 60  # it would sleep for 600
    assert not is_alive(pid)
