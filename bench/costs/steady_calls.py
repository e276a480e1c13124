"""Call after call, and the memory in between: what a process of `steady_memory` runs.

It imports nothing but the standard library and the runtime, as an application would.
"""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path

from distilroberta.bench.costs.mixed_inputs import Corpus, draw

# Of /proc/self/status: the memory in RAM now, and the most there was.
_FIELDS = {"VmRSS": "resident_bytes", "VmHWM": "peak_bytes"}


def memory() -> dict[str, int]:
    """Return the bytes this process has in RAM, and the most it had; empty where none can tell."""
    try:
        lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    except OSError:
        return {}
    named = (line.partition(":") for line in lines)
    return {
        _FIELDS[name]: int(value.split()[0]) * 1024 for name, _, value in named if name in _FIELDS
    }


def main(arguments: list[str]) -> None:
    """Load a pipeline, call it, and write the memory after every so many calls as JSON."""
    asked = json.loads(arguments[0])
    from distilroberta.runtime import pipeline

    fill = pipeline(
        "fill-mask",
        asked["artifact"],
        variant=asked["variant"],
        provider="cpu",
        threads=asked["threads"],
    )
    tokenizer = fill.tokenizer
    corpus = Corpus(asked["text"], [tuple(pair) for pair in asked["offsets"]])
    inputs = draw(corpus, tokenizer.mask_token, tokenizer.max_length, asked["seed"])
    done = 0
    _write(done)
    for calls in asked["samples"]:
        for item in itertools.islice(inputs, calls - done):
            fill(item)
        done = calls
        _write(done)


def _write(calls: int) -> None:
    sys.stdout.write(json.dumps({"calls": calls, **memory()}) + "\n")
    sys.stdout.flush()
