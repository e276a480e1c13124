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
        self._mask_token_id = loaded.tokenizer.mask_token_id

    def standard(
        self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Return the model's logits: (batch, length, vocabulary) or (batch, labels)."""
        with torch.inference_mode():
            output = self._model(
                input_ids=torch.from_numpy(input_ids),
                attention_mask=torch.from_numpy(attention_mask),
            )
        return np.asarray(output.logits.numpy(), dtype=np.float32)

    def served(
        self, input_ids: NDArray[np.int64], attention_mask: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Return the logits a served graph gives: those of the masks, or those of each text."""
        logits = self.standard(input_ids, attention_mask)
        return logits[input_ids == self._mask_token_id] if logits.ndim == 3 else logits
