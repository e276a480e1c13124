"""From nothing to a pipeline's first answer: what a process of `artifact_starts` runs.

Its arguments: when its process was started (`time.monotonic()`), the artifact's folder, its task,
the variant, the provider, the threads and the text. Nothing is imported here that the runtime might
have to import itself.
"""

from __future__ import annotations

import sys

from distilroberta.bench.costs.first_answer import Stages
from distilroberta.bench.engines.pipeline_inputs import OPTIONS, inputs


def main(arguments: list[str]) -> None:
    """Load an artifact and answer once; write the seconds of the stages as a line of JSON."""
    started, folder, task, variant, provider, threads, text = arguments
    stages = Stages(float(started))
    from distilroberta.runtime import pipeline

    stages.end("imports")
    pipe = pipeline(
        task,
        folder,
        variant=variant,
        provider=provider,
        threads=int(threads),
        **OPTIONS.get(task, {}),
    )
    stages.end("load")
    pipe(inputs(task, [text]))
    stages.end("first answer")

    import json

    sys.stdout.write(json.dumps(stages.seconds) + "\n")
