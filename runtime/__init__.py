"""Tokenize, run, decode: what an application embeds.

Needs numpy, onnxruntime and tokenizers, and nothing else of this project.

    >>> from distilroberta.runtime import pipeline
    >>> fill = pipeline("fill-mask", "artifacts/distilroberta-base")
    >>> fill("Paris is the <mask> of France.", top_k=1)[0]["token_str"]
    ' capital'
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from distilroberta.runtime.artifact import Artifact
from distilroberta.runtime.errors import (
    ArtifactError,
    CheckpointError,
    DistilRobertaError,
    InputError,
    NonFiniteError,
    OutOfMemoryError,
    ProviderError,
)
from distilroberta.runtime.execution.provider_options import (
    CpuOptions,
    CudaOptions,
    TensorRTOptions,
)
from distilroberta.runtime.manifest import Manifest
from distilroberta.runtime.pipelines import CLASSES, class_of, pipeline

if TYPE_CHECKING:
    from distilroberta.runtime.tasks.feature_extraction import FeatureExtractionPipeline
    from distilroberta.runtime.tasks.fill_mask import FillMaskPipeline
    from distilroberta.runtime.tasks.question_answering import QuestionAnsweringPipeline
    from distilroberta.runtime.tasks.text_classification import TextClassificationPipeline
    from distilroberta.runtime.tasks.token_classification import TokenClassificationPipeline
    from distilroberta.runtime.tasks.zero_shot_classification import ZeroShotClassificationPipeline

__all__ = [
    "Artifact",
    "ArtifactError",
    "CheckpointError",
    "CpuOptions",
    "CudaOptions",
    "DistilRobertaError",
    "FeatureExtractionPipeline",
    "FillMaskPipeline",
    "InputError",
    "Manifest",
    "NonFiniteError",
    "OutOfMemoryError",
    "ProviderError",
    "QuestionAnsweringPipeline",
    "TensorRTOptions",
    "TextClassificationPipeline",
    "TokenClassificationPipeline",
    "ZeroShotClassificationPipeline",
    "pipeline",
]


if not TYPE_CHECKING:  # or a type checker would let every name pass

    def __getattr__(name: str) -> Any:
        # The pipelines' modules are imported when one of them is asked for.
        for task, kind in CLASSES.items():
            if kind == name:
                return class_of(task)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__]
