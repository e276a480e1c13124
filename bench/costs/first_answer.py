"""From nothing to the first answer, in stages: what a process of `cold_start` runs.

Its arguments: the engine, when its process was started (`time.monotonic()`, which on Linux and
macOS counts alike in all processes), the threads, how many tokens to return, the text, and the
files. Nothing is imported here that an engine might have to import itself.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

_VARIANT = "int8"

# Token ids with their scores, best first.
Answer = list[tuple[int, float]]


class Stages:
    """Seconds from the end of one stage to the end of the next.

    `seconds` are those of the stages, `parts` those of what happens inside one of them.
    """

    def __init__(self, started: float) -> None:
        """Begin with the interpreter's own start, which is over now."""
        self.seconds: dict[str, float] = {}
        self.parts: dict[str, float] = {}
        self._last = started
        self.end("interpreter")

    def end(self, name: str) -> None:
        """End a stage."""
        now = time.monotonic()
        self.seconds[name] = now - self._last
        self._last = now

    def time(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, made to add the seconds it takes to a part."""

        def timed(*arguments: Any, **options: Any) -> Any:
            start = time.monotonic()
            try:
                return function(*arguments, **options)
            finally:
                self.parts[name] = self.parts.get(name, 0.0) + time.monotonic() - start

        return timed


def ours(stages: Stages, threads: int, top_k: int, text: str, artifact: str) -> Answer:
    """Answer with our `pipeline()`; `artifact` is a folder."""
    from distilroberta.runtime import Artifact, pipeline
    from distilroberta.runtime.tasks.tokenizer import Tokenizer

    stages.end("imports")
    # The only way to see into `pipeline()`. Where the two run at once their sum is more than it.
    Tokenizer.__init__ = stages.time("tokenizer", Tokenizer.__init__)  # type: ignore[method-assign]
    Artifact.session = stages.time("session", Artifact.session)  # type: ignore[method-assign]
    fill = pipeline("fill-mask", artifact, variant=_VARIANT, provider="cpu", threads=threads)
    stages.end("load")
    found = fill(text, top_k=top_k)
    stages.end("first answer")
    return [(candidate["token"], candidate["score"]) for candidate in found]


def bare(
    stages: Stages, threads: int, top_k: int, text: str, graph: str, vocabulary: str
) -> Answer:
    """Answer with onnxruntime and tokenizers alone; the files are those that ours reads."""
    import numpy as np
    import onnxruntime
    import tokenizers

    stages.end("imports")
    read = stages.time("tokenizer", tokenizers.Tokenizer.from_file)
    start = stages.time("session", onnxruntime.InferenceSession)
    tokenizer = read(vocabulary)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry("session.prepack.enable_parallel", "1")
    session = start(graph, options, providers=["CPUExecutionProvider"])
    stages.end("load")
    ids = np.array([tokenizer.encode(text).ids])
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    (logits,) = session.run(None, {one.name: feeds[one.name] for one in session.get_inputs()})
    scores = np.exp(logits[0] - logits[0].max())
    scores /= scores.sum()
    best = np.argpartition(scores, -top_k)[-top_k:]
    best = best[np.argsort(-scores[best])]
    found = list(zip(best.tolist(), scores[best].tolist(), strict=True))
    stages.end("first answer")
    return found


def transformers(stages: Stages, threads: int, top_k: int, text: str, checkpoint: str) -> Answer:
    """Answer with `transformers.pipeline`; `checkpoint` is a folder."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # it need not look for anything
    import torch
    from transformers import pipeline

    stages.end("imports")
    torch.set_num_threads(threads)
    fill = pipeline("fill-mask", model=checkpoint, device="cpu", dtype="float32")
    stages.end("load")
    found = fill(text, top_k=top_k)
    stages.end("first answer")
    return [(candidate["token"], candidate["score"]) for candidate in found]


ENGINES: dict[str, Callable[..., Answer]] = {
    "ours": ours,
    "bare": bare,
    "transformers": transformers,
}


def main(arguments: list[str]) -> None:
    """Run one engine, and write its stages and its answer as a line of JSON."""
    engine, started, threads, top_k, text, *files = arguments
    stages = Stages(float(started))
    answer = ENGINES[engine](stages, int(threads), int(top_k), text, *files)

    import json

    document = {"seconds": stages.seconds, "parts": stages.parts, "answer": answer}
    sys.stdout.write(json.dumps(document) + "\n")
