"""OpenVINO and CTranslate2 as engines to measure, in the environment they are installed in.

See `environment` for how that is made and `models` for the files they run. They are bare sessions,
token ids to logits, as those of `bench/engines/sessions.py`. Each imports what it needs when it is
made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distilroberta.bench.engines.sessions import arrays, read
from distilroberta.bench.harness.workload import Workload


class OpenVinoModel:
    """An OpenVINO model with dynamic shapes on the CPU, compiled for latency by default."""

    def __init__(
        self, model: str, threads: int, precision: str | None = None, hint: str = "LATENCY"
    ) -> None:
        """Compile a model.

        Args:
            model: its `.xml`, beside its `.bin`, or an `.onnx`.
            threads: how many it may use.
            precision: `f32` or `bf16`, of what is not quantized; by default what OpenVINO takes
                on this machine.
            hint: what it is compiled for, `LATENCY` or `THROUGHPUT`.
        """
        import openvino

        options = {
            "PERFORMANCE_HINT": hint,
            "INFERENCE_NUM_THREADS": threads,
            **({} if precision is None else {"INFERENCE_PRECISION_HINT": precision}),
        }
        compiled = openvino.Core().compile_model(model, "CPU", options)
        self._request = compiled.create_infer_request()

    def call(self, workload: Workload) -> Callable[[], Any]:
        """Infer from ready arrays, without a copy of inputs or outputs."""
        ids, mask = arrays(workload)
        feeds = {"input_ids": ids, "attention_mask": mask}
        return lambda: self._request.infer(feeds, share_inputs=True, share_outputs=True)

    def answer(self, workload: Workload) -> NDArray[np.float32]:
        """Return the masks' rows of (batch, length, vocabulary), or all of (batch, labels)."""
        return read(np.array(self.call(workload)()[0]), workload)


class CTranslate2Model:
    """A CTranslate2 encoder in INT8, and the model's head in numpy, in FP32.

    CTranslate2 has no head of RoBERTa's, so its users compute that themselves. Here the head reads
    the masks, or `<s>`, alone; the encoder gives hidden states for every token.
    """

    def __init__(self, model: str, head: str, threads: int, compute_type: str = "int8") -> None:
        """Load a converted encoder.

        Args:
            model: its folder.
            head: the weights of the head, an `.npz`.
            threads: how many the encoder may use for a batch, and numpy for the head.
            compute_type: what CTranslate2 computes the encoder in.
        """
        import ctranslate2
        import threadpoolctl

        threadpoolctl.threadpool_limits(threads, user_api="blas")  # of numpy, for the head
        self._view = ctranslate2.StorageView
        self._encoder = ctranslate2.Encoder(
            model, device="cpu", compute_type=compute_type, inter_threads=1, intra_threads=threads
        )
        with np.load(head, allow_pickle=False) as weights:
            self._head = dict(weights)

    def call(self, workload: Workload) -> Callable[[], Any]:
        """Encode ready arrays, and apply the head to what is read."""
        ids = np.array(workload.ids, dtype=np.int32)
        lengths = np.full(len(ids), ids.shape[1], dtype=np.int32)
        rows = np.arange(len(ids))
        places = np.array(workload.masks) if "decoder" in self._head else np.zeros_like(rows)

        def run() -> NDArray[np.float32]:
            inputs = self._view.from_array(ids), self._view.from_array(lengths)
            states = np.asarray(self._encoder.forward_batch(*inputs).last_hidden_state)
            return apply_head(self._head, states[rows, places])

        return run

    def answer(self, workload: Workload) -> NDArray[np.float32]:
        """Return the logits, (rows, vocabulary) or (rows, labels)."""
        return np.asarray(self.call(workload)())


def apply_head(
    head: dict[str, NDArray[np.float32]], states: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Turn hidden states, float32 (rows, hidden), into logits, float32 (rows, classes).

    `head` is what `models.head_of` returns: that of `RobertaForMaskedLM`, dense layer, GELU, layer
    norm and the tied embedding, or that of `RobertaForSequenceClassification`, two dense layers
    with a tanh between.
    """
    x = states @ head["dense"].T + head["dense_bias"]
    if "decoder" not in head:
        return np.asarray(np.tanh(x) @ head["out_proj"].T + head["out_proj_bias"])
    from scipy.special import erf

    x = x * (1 + erf(x / np.sqrt(np.float32(2)))) / 2
    x = x - x.mean(axis=-1, keepdims=True)
    x = x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + head["epsilon"])
    x = x * head["norm"] + head["norm_bias"]
    return np.asarray(x @ head["decoder"].T + head["decoder_bias"])
