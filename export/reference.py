"""What PyTorch answers: the side every graph is compared with."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from distilroberta.export.checkpoint import Loaded


class Reference:
    """The checkpoint's own transformers model, called with arrays."""

    def __init__(self, loaded: Loaded) -> None:
        """Keep the model of a loaded checkpoint."""
        self._model: Any = loaded.model
        self._task = loaded.task
        self._mask_token_id = loaded.tokenizer.mask_token_id

    def standard(self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]) -> Any:
        """Return what the standard graph gives for ids and mask, int64 (batch, length) both.

        Returns:
            The logits, float32: (batch, length, vocabulary) for fill-mask, (batch, labels) for
            text-classification, (batch, length, labels) for token-classification; for
            question-answering a pair of (batch, length), start logits and end logits. For
            feature-extraction the last hidden states, (batch, length, hidden).
        """
        with torch.inference_mode():
            output = self._model(
                input_ids=torch.from_numpy(input_ids),
                attention_mask=torch.from_numpy(attention_mask),
            )
        if self._task == "question-answering":
            return _array(output.start_logits), _array(output.end_logits)
        if self._task == "feature-extraction":
            return _array(output.last_hidden_state)
        return _array(output.logits)

    def served(self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]) -> Any:
        """Return what the served graph gives: for fill-mask, the logits of the masks alone.

        Returns:
            float32 (masks, vocabulary) for fill-mask, in reading order over the batch; for every
            other task what `standard` returns.
        """
        logits = self.standard(input_ids, attention_mask)
        return logits[input_ids == self._mask_token_id] if self._task == "fill-mask" else logits


def _array(values: torch.Tensor) -> NDArray[np.float32]:
    return np.asarray(values.numpy(), dtype=np.float32)
