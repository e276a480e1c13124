"""Calls, and the time inside onnxruntime in each: what a process of `overhead` runs."""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

from distilroberta.bench.harness.timing import time_calls


class SessionTime:
    """Nanoseconds inside `InferenceSession.run`, one number for each time it is called.

    It takes the place of that method for all sessions of the process, whoever holds them.
    """

    def __init__(self) -> None:
        """Begin to measure."""
        import onnxruntime

        self.spent: list[int] = []
        run = onnxruntime.InferenceSession.run

        def timed(*arguments: Any, **options: Any) -> Any:
            start = time.perf_counter_ns()
            try:
                return run(*arguments, **options)
            finally:
                self.spent.append(time.perf_counter_ns() - start)

        onnxruntime.InferenceSession.run = timed


def round_of(
    call: Callable[[], Any],
    tokenize: Callable[[], Any],
    inside: SessionTime,
    *,
    warmup: int,
    calls: int,
) -> dict[str, float]:
    """Time some calls; return the milliseconds of the median one and of its parts.

    Returns:
        `call`, `session` (inside onnxruntime) and `rest`, which is what is left of the call, each
        the median of its own; and `tokenize`, timed by itself after each of as many further calls,
        when the processor's caches hold what the session read last, as they do in a call.

    Raises:
        RuntimeError: a call did not run the session once, so nothing can be told.
    """
    inside.spent.clear()
    totals = time_calls(call, warmup=warmup, calls=calls)
    if len(inside.spent) != warmup + calls:
        raise RuntimeError(
            f"{warmup + calls} calls ran a session {len(inside.spent)} times, must be once each"
        )
    sessions = inside.spent[warmup:]
    rests = [total - session for total, session in zip(totals, sessions, strict=True)]
    alone: list[int] = []

    def call_and_tokenize() -> None:
        call()
        start = time.perf_counter_ns()
        tokenize()
        alone.append(time.perf_counter_ns() - start)

    time_calls(call_and_tokenize, warmup=warmup, calls=calls)
    parts = {"call": totals, "session": sessions, "rest": rests, "tokenize": alone[warmup:]}
    return {name: median(values) / 1e6 for name, values in parts.items()}


def main(arguments: list[str]) -> None:
    """Load a pipeline, time rounds of calls, and write each round as a line of JSON."""
    asked = json.loads(arguments[0])
    import tokenizers

    from distilroberta.runtime import pipeline

    inside = SessionTime()
    answer = pipeline(
        None,
        asked["artifact"],
        variant=asked["variant"],
        provider="cpu",
        threads=asked["threads"],
    )
    tokenizer = tokenizers.Tokenizer.from_file(asked["tokenizer"])
    tokenizer.no_padding()
    tokenizer.no_truncation()
    order = random.Random(asked["seed"])  # noqa: S311 - an order, no secret
    for _ in range(asked["rounds"]):
        found = {}
        for name, text in order.sample(list(asked["texts"].items()), len(asked["texts"])):
            found[name] = round_of(
                partial(answer, text),
                partial(tokenizer.encode_batch, [text]),
                inside,
                warmup=asked["warmup"],
                calls=asked["calls"],
            )
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()
