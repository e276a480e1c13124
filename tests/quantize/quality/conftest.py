"""Ways to write data files, and to run a transformers model as the scoring runs one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

Write = Callable[..., Path]
Model = Callable[[NDArray[np.int64], NDArray[np.int64]], Any]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file of text or bytes: `write("dev.tsv", content)`."""

    def write_(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write_


@pytest.fixture(scope="session")
def as_model() -> Callable[[Any], Model]:
    """Make of a transformers model what takes arrays: logits, or start and end logits."""

    def make(model: Any) -> Model:
        def run(ids: NDArray[np.int64], mask: NDArray[np.int64]) -> Any:
            with torch.inference_mode():
                output = model(
                    input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask)
                )
            if "start_logits" in output:
                return output.start_logits.numpy(), output.end_logits.numpy()
            return output.logits.numpy()

        return run

    return make
