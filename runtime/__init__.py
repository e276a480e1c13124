"""Tokenize, run, decode: what an application embeds.

Needs numpy, onnxruntime and tokenizers, and nothing else of this project.

    >>> from distilroberta.runtime import pipeline
    >>> fill = pipeline("fill-mask", "artifacts/distilroberta-base")
    >>> fill("Paris is the <mask> of France.", top_k=1)[0]["token_str"]
    ' capital'
"""

from distilroberta.runtime.artifact import Artifact
from distilroberta.runtime.errors import (
    ArtifactError,
    CheckpointError,
    DistilRobertaError,
    InputError,
    ProviderError,
)
from distilroberta.runtime.fill_mask import FillMaskPipeline
from distilroberta.runtime.manifest import Manifest
from distilroberta.runtime.pipelines import pipeline
from distilroberta.runtime.text_classification import TextClassificationPipeline

__all__ = [
    "Artifact",
    "ArtifactError",
    "CheckpointError",
    "DistilRobertaError",
    "FillMaskPipeline",
    "InputError",
    "Manifest",
    "ProviderError",
    "TextClassificationPipeline",
    "pipeline",
]
