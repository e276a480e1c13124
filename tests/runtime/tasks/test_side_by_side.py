"""Work is done once each, by as many threads as asked for, and errors come out."""

from __future__ import annotations

import threading

import pytest

from distilroberta.runtime.tasks.side_by_side import for_each

SECONDS = 20


@pytest.mark.parametrize("workers", [0, 1, 2, 5, 50])
@pytest.mark.parametrize("count", [0, 1, 7])
def test_each_piece_is_done_once(workers: int, count: int) -> None:
    done: list[int] = []
    for_each(range(count), done.append, workers)
    assert sorted(done) == list(range(count))


def test_one_worker_is_this_thread() -> None:
    threads = set()
    for_each(range(3), lambda _: threads.add(threading.get_ident()), 1)
    assert threads == {threading.get_ident()}


def test_workers_are_at_it_at_the_same_time() -> None:
    meeting = threading.Barrier(3, timeout=SECONDS)  # breaks unless three are there at once
    for_each(range(3), lambda _: meeting.wait() and None, 3)


def test_no_thread_is_left() -> None:
    before = threading.active_count()
    for_each(range(20), lambda _: None, 4)
    assert threading.active_count() == before


@pytest.mark.parametrize("workers", [1, 3])
def test_error_is_raised_and_ends_the_work(workers: int) -> None:
    done: list[int] = []

    def fail(piece: int) -> None:
        done.append(piece)
        raise ValueError(f"piece {piece}")

    with pytest.raises(ValueError, match=r"piece \d"):
        for_each(range(1000), fail, workers)
    assert len(done) <= workers


def test_thread_that_does_not_start_ends_those_that_did(monkeypatch: pytest.MonkeyPatch) -> None:
    start, started = threading.Thread.start, []

    def fail_third(thread: threading.Thread) -> None:
        if len(started) == 2:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    done: list[int] = []
    may_end = threading.Event()

    def work(piece: int) -> None:
        done.append(piece)
        may_end.wait(0.05)

    monkeypatch.setattr(threading.Thread, "start", fail_third)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        for_each(range(1000), work, 5)
    assert len(started) == 2
    assert not any(thread.is_alive() for thread in started)
    assert len(done) <= 2


def test_interruption_is_an_error_like_others() -> None:
    def interrupt(piece: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        for_each(range(4), interrupt, 2)
