"""DistilRoBERTa and RoBERTa-base, each as the files that an engine runs.

`ours` are the graphs that `distilroberta build` makes and the runtime runs. `usual export` is what
`optimum-cli export onnx` makes (and `ORTQuantizer`, for INT8), in a bare onnxruntime session: see
`optimum_export`. `torch` is the transformers model in PyTorch.

Random weights have the real shapes: latency does not depend on the values, see `checkpoints`. Of
real checkpoints that have no classifier, the classifier is random, as where fine-tuning begins.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from distilroberta.bench.claim.terms import BASE, DISTIL
from distilroberta.bench.harness.suite import EngineSpec
from distilroberta.bench.models import optimum_export, specs
from distilroberta.bench.models.checkpoints import DISTILROBERTA, LABELS, random_checkpoint
from distilroberta.export import build
from distilroberta.export.source import Checkpoint, resolve
from distilroberta.runtime import layout
from distilroberta.runtime.errors import InputError

FILL_MASK, CLASSIFICATION, FEATURES = "fill-mask", "text-classification", "feature-extraction"
TASKS = (CLASSIFICATION, FILL_MASK, FEATURES)
OURS, USUAL, TORCH = "ours", "usual export", "torch"
# By the word for it on the command line, and what each can run.
ENGINES = {"ours": OURS, "usual": USUAL, "torch": TORCH}
PRECISIONS = {OURS: ("fp32", "fp16", "int8", "int4"), USUAL: ("fp32", "int8"), TORCH: ("fp32",)}
LAYERS = {DISTIL: DISTILROBERTA["num_hidden_layers"], BASE: 12}
# Where real weights come from.
HUB = {DISTIL: "distilbert/distilroberta-base", BASE: "FacebookAI/roberta-base"}
RANDOM, REAL = "random", "real"
TORCH_ENGINE = "distilroberta.bench.engines.torch_engines:TorchModel"


@dataclass(frozen=True)
class Side:
    """One of the two models, as an engine of a comparison runs it.

    `graph` is the ONNX file whose work can be counted, None in PyTorch.
    """

    spec: EngineSpec
    graph: Path | None


class Models:
    """The checkpoints of both models, made once for each head, and the engines that run them."""

    def __init__(self, weights: str, folder: Path, threads: int) -> None:
        """Find the models.

        Args:
            weights: `random`, `real`, or `DISTIL,BASE`: two folders or hub ids.
            folder: an empty one, for all that is made.
            threads: how many each engine gets.

        Raises:
            InputError: `weights` is none of these.
            CheckpointError: a checkpoint can't be used.
        """
        self._folder, self._threads = folder, threads
        self._sources: dict[str, Checkpoint] | None = None
        self._made: dict[tuple[str, str], Path] = {}
        if weights == RANDOM:
            self.weights = "random weights of both models' shapes"
            return
        names = list(HUB.values()) if weights == REAL else weights.split(",")
        if len(names) != len(HUB):
            raise InputError(
                f"--weights must be {RANDOM}, {REAL} or two checkpoints with a comma between, "
                f"DistilRoBERTa's first, found {weights!r}"
            )
        self._sources = {side: resolve(name.strip()) for side, name in zip(HUB, names, strict=True)}
        self.weights = " and ".join(
            f"{one.name}@{one.revision}" if one.revision else one.name
            for one in self._sources.values()
        )

    def checkpoint(self, side: str, task: str) -> Path:
        """Return the folder of a model's checkpoint with a head for the task.

        Features come of the checkpoint for fill-mask, without its head.
        """
        head = CLASSIFICATION if task == CLASSIFICATION else FILL_MASK
        if (side, head) not in self._made:
            self._made[side, head] = self._make(side, head)
        return self._made[side, head]

    def layers(self, side: str, task: str) -> int:
        """Return how many layers a model has."""
        config = json.loads((self.checkpoint(side, task) / layout.CONFIG).read_text("utf-8"))
        return int(config["num_hidden_layers"])

    def side(self, side: str, task: str, engine: str, precision: str, folder: Path) -> Side:
        """Make what an engine runs of one of the models.

        Args:
            side: `distilroberta` or `roberta-base`, which is what the engine is called.
            task: one of `TASKS`.
            engine: one of `ENGINES`.
            precision: one that the engine has.
            folder: where the files go; it is not there.

        Raises:
            BenchError: optimum could not export it.
            DistilRobertaError: as `build`.
        """
        checkpoint = self.checkpoint(side, task)
        if engine == TORCH:
            arguments = {"checkpoint": str(checkpoint), "task": task, "threads": self._threads}
            return Side(EngineSpec(side, TORCH_ENGINE, arguments, _size(checkpoint)), None)
        if engine == USUAL:
            exported = optimum_export.export(
                checkpoint, folder, task, quantized=precision != "fp32", tied=False
            )
            name = optimum_export.FP32 if precision == "fp32" else optimum_export.INT8
            graph = exported.untied / name
            return Side(specs.onnx_session(side, graph, self._threads), graph)
        artifact = build(checkpoint, folder, task=task, variants=[precision])
        spec = specs.artifact_engine(side, "ArtifactSession", artifact, precision, self._threads)
        return Side(spec, artifact.file(artifact.variant(precision).graph))

    def _make(self, side: str, head: str) -> Path:
        folder = self._folder / f"{side}-{head}"
        if self._sources is None:
            return random_checkpoint(folder, task=head, num_hidden_layers=LAYERS[side])
        source = self._sources[side]
        return source.folder if _has(source, head) else _with_random_classifier(source, folder)


def _size(checkpoint: Path) -> int:
    return sum(path.stat().st_size for path in checkpoint.glob("*.safetensors"))


def _has(source: Checkpoint, head: str) -> bool:
    architectures = source.config.get("architectures") or [""]
    is_classifier = "SequenceClassification" in architectures[0]
    if head == FILL_MASK and is_classifier:
        raise InputError(
            f"{source.name} is a classifier and can't fill masks: compare text-classification "
            f"alone (--tasks {CLASSIFICATION})"
        )
    return is_classifier == (head == CLASSIFICATION)


def _with_random_classifier(source: Checkpoint, folder: Path) -> Path:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()  # that the classifier is random is what is asked for
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = AutoModelForSequenceClassification.from_pretrained(
                source.folder, local_files_only=True, num_labels=LABELS
            )
    finally:
        logging.set_verbosity(level)
    model.save_pretrained(folder, safe_serialization=True)
    AutoTokenizer.from_pretrained(source.folder, local_files_only=True).save_pretrained(folder)
    return folder
