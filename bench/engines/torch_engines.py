"""A checkpoint in PyTorch, eager or compiled, as an engine: token ids to logits.

It is what most users begin with, and what says which answers are right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distilroberta.bench.engines.sessions import arrays, read
from distilroberta.bench.harness.workload import Workload


class TorchModel:
    """The transformers model of a checkpoint on the CPU, in FP32, with `torch.inference_mode`."""

    def __init__(self, checkpoint: str, task: str, threads: int, compiled: bool = False) -> None:
        """Load the checkpoint in a folder.

        Args:
            checkpoint: the folder.
            task: `fill-mask`, `text-classification` or `feature-extraction`.
            threads: how many PyTorch may use.
            compiled: run it through `torch.compile` with fixed shapes, compiled again for each of
                them in the calls before the timed ones, and with inductor's `freezing`: weights
                become constants, laid out for the products they are in, for each shape anew.
        """
        import torch
        import transformers

        classes = {
            "fill-mask": transformers.AutoModelForMaskedLM,
            "text-classification": transformers.AutoModelForSequenceClassification,
            "feature-extraction": transformers.AutoModel,
        }
        torch.set_num_threads(threads)
        self._torch = torch
        # A pooler would be computed and thrown away.
        extra = {"add_pooling_layer": False} if task == "feature-extraction" else {}
        model = classes[task].from_pretrained(
            checkpoint, local_files_only=True, dtype=torch.float32, **extra
        )
        self._model: Any = model.eval()
        if compiled:
            import torch._inductor.config

            torch._dynamo.config.recompile_limit = 1000
            # At 16 and 128 tokens of DistilRoBERTa's shape 1.17 and 1.26 times as fast as without,
            # in 7 interleaved rounds on 2 cores.
            torch._inductor.config.freezing = True
            self._model = torch.compile(self._model, dynamic=False)

    def call(self, workload: Workload) -> Callable[[], Any]:
        """Run the model on ready tensors."""
        ids, mask = map(self._torch.from_numpy, arrays(workload))

        def run() -> Any:
            with self._torch.inference_mode():
                return self._model(input_ids=ids, attention_mask=mask)[0]

        return run

    def answer(self, workload: Workload) -> NDArray[np.float32]:
        """Return what is read of (batch, length, vocabulary or hidden), or (batch, labels)."""
        return read(self.call(workload)().numpy(), workload)
