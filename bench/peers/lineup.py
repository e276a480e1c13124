"""The engines that ours are measured beside, and what is made of a checkpoint for them.

Each has the same number of threads, and runs as `schemes.py` says. At the level `model` they take
token ids to logits, at the level `pipeline` texts to answers, as users of these libraries call
them. By the word for it on the command line:

* `torch`: the transformers model in PyTorch, eager; its whole pipeline;
* `torch-compile`: that through `torch.compile`, compiled for each shape before it is timed;
* `optimum-fp32`: the file of `optimum-cli export onnx`, in a bare onnxruntime session; whole
  pipelines on it;
* `optimum-int8`: that file through `ORTQuantizer`; for fill-mask with the embedding stored once
  (tied) and twice (untied), see `optimum_export`;
* `quantize-dynamic`: that file through onnxruntime's `quantize_dynamic`;
* `openvino-fp32`, `openvino-bf16` and `openvino-int8` (NNCF), see `models.py`; beside the last
  one our `int8-static` graph in OpenVINO, where that variant is measured;
* `ctranslate2-int8`, whose users compute the head themselves, see `engines.py`;
* `per-tensor`: our graph in the plain INT8 form, see `per_tensor.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from distilroberta.bench.errors import BenchError
from distilroberta.bench.harness.suite import EngineSpec
from distilroberta.bench.models import optimum_export
from distilroberta.bench.models.specs import artifact_engine, onnx_session
from distilroberta.bench.peers import conversion, per_tensor, precision
from distilroberta.export import build
from distilroberta.runtime import Artifact
from distilroberta.runtime.command_line import one_line

MODEL, PIPELINE = "model", "pipeline"
LEVELS = (MODEL, PIPELINE)
WHAT = {MODEL: "token ids to logits", PIPELINE: "texts to answers"}
TASKS = ("text-classification", "fill-mask")

_TORCH, _COMPILED = "torch", "torch-compile"
_OPTIMUM_FP32, _OPTIMUM_INT8, _DYNAMIC = "optimum-fp32", "optimum-int8", "quantize-dynamic"
_OPTIMUM = {
    _OPTIMUM_FP32: "optimum FP32",
    _OPTIMUM_INT8: "optimum INT8",
    _DYNAMIC: "quantize_dynamic INT8",
}
_OPENVINO_INT8, PER_TENSOR = "openvino-int8", "per-tensor"
# What `conversion` calls the engines of the other environment.
_PEERS = {
    "openvino-fp32": "OpenVINO FP32",
    "openvino-bf16": "OpenVINO BF16",
    _OPENVINO_INT8: "OpenVINO INT8",
    "ctranslate2-int8": "CTranslate2 INT8",
}
DEFAULT = (_TORCH, _COMPILED, *_OPTIMUM, *_PEERS)
ENGINES = (*DEFAULT, PER_TENSOR)

_TORCH_MODEL = "distilroberta.bench.engines.torch_engines:TorchModel"
_TORCH_PIPELINE = "distilroberta.bench.engines.pipeline_engines:TransformersPipeline"
_OPTIMUM_PIPELINE = "distilroberta.bench.engines.pipeline_engines:OptimumPipeline"
_OURS = {MODEL: "ArtifactSession", PIPELINE: "ArtifactPipeline"}
_REFERENCES = {
    MODEL: ("torch", _TORCH_MODEL),
    PIPELINE: ("transformers on torch", _TORCH_PIPELINE),
}
NO_ENVIRONMENT = (
    "needs an environment: make one with distilroberta bench peers-environment FOLDER and name "
    "it with --peers FOLDER"
)
_FP32, _STATIC = "fp32", "int8-static"


@dataclass(frozen=True)
class Settings:
    """What is measured: variants of ours, and words of `ENGINES`.

    `interpreter` is the Python of the environment that `environment.make` made, None without one.
    """

    variants: Sequence[str]
    engines: Sequence[str]
    threads: int
    interpreter: Path | None


@dataclass(frozen=True)
class Lineup:
    """The engines of one task.

    `engines` are those of each level, ours first. `references` say at each level which answers are
    right: PyTorch's. `packages` are the versions in the other environment, `left_out` says
    why an engine that was asked for could not be made.
    """

    artifact: Artifact
    ours: dict[str, str]
    engines: dict[str, list[EngineSpec]]
    references: dict[str, EngineSpec]
    packages: dict[str, str]
    left_out: dict[str, str]

    def pairs(self, level: str) -> list[tuple[str, str]]:
        """List ours with what each is compared with: `fp32` only with what computes in FP32."""
        ours = list(self.ours.values())
        others = [spec.name for spec in self.engines[level] if spec.name not in ours]
        return [
            (one, other)
            for one in ours
            for other in others
            if one != our_name(_FP32) or precision.of(other) == precision.FP32
        ]


def our_name(variant: str) -> str:
    """Return what our engine of a variant is called."""
    return f"ours {variant}"


def needs_environment(engine: str) -> bool:
    """Return whether an engine needs the environment of OpenVINO and CTranslate2."""
    return engine in _PEERS


def make(
    task: str,
    checkpoint: Path,
    folder: Path,
    settings: Settings,
    progress: Callable[[str], None] = lambda _: None,
) -> Lineup:
    """Build, export and convert a checkpoint, and describe the engines.

    What another tool can't do leaves its engines out.

    Args:
        task: one of `TASKS`.
        checkpoint: the checkpoint's folder.
        folder: where all that is made goes; it is there and empty.
        settings: what is measured.
        progress: called with what is done.

    Raises:
        DistilRobertaError: as `build`.
    """
    maker = _Maker(task, checkpoint, folder, settings, progress)
    maker.add_torch()
    maker.add_optimum()
    maker.add_per_tensor()
    maker.add_peers()
    return maker.lineup


class _Maker:
    """Adds engines to a lineup that begins with ours."""

    def __init__(
        self,
        task: str,
        checkpoint: Path,
        folder: Path,
        settings: Settings,
        progress: Callable[[str], None],
    ) -> None:
        self._task, self._checkpoint, self._folder = task, checkpoint, folder
        self._settings, self._progress = settings, progress
        self._threads = settings.threads
        # The plain INT8 form is made from FP32.
        further = [_FP32] if PER_TENSOR in settings.engines else []
        artifact = build(
            checkpoint,
            folder / "artifact",
            task=task,
            variants=list(dict.fromkeys([*settings.variants, *further])),
            progress=lambda step: progress(f"our artifact: {step}"),
        )
        self._on_torch = {"checkpoint": str(checkpoint), "task": task, "threads": self._threads}
        self._size = sum(path.stat().st_size for path in checkpoint.glob("*.safetensors"))
        self.lineup = Lineup(
            artifact,
            {variant: our_name(variant) for variant in settings.variants},
            {
                level: [
                    artifact_engine(our_name(variant), engine, artifact, variant, self._threads)
                    for variant in settings.variants
                ]
                for level, engine in _OURS.items()
            },
            {
                level: EngineSpec(name, engine, self._on_torch, self._size)
                for level, (name, engine) in _REFERENCES.items()
            },
            {},
            {},
        )
        self._model, self._pipeline = (self.lineup.engines[level] for level in LEVELS)

    def add_torch(self) -> None:
        if _TORCH in self._settings.engines:
            for level, spec in self.lineup.references.items():
                self.lineup.engines[level].append(spec)
        if _COMPILED in self._settings.engines:
            compiled = {**self._on_torch, "compiled": True}
            self._model.append(EngineSpec("torch.compile", _TORCH_MODEL, compiled, self._size))

    def add_optimum(self) -> None:
        asked = {word: name for word, name in _OPTIMUM.items() if word in self._settings.engines}
        if not asked:
            return
        self._progress("exporting with optimum")
        try:
            made = optimum_export.export(
                self._checkpoint,
                self._folder / "optimum",
                self._task,
                quantized=list(asked) != [_OPTIMUM_FP32],
            )
        except BenchError as error:
            self._leave_out(asked.values(), one_line(error))
            return
        if _OPTIMUM_FP32 in asked:
            self._model.append(onnx_session("optimum FP32", made.fp32, self._threads))
            self._add_pipeline("FP32", made.fp32)
        if _OPTIMUM_INT8 in asked:
            for kind, folder in made.folders.items():
                name, graph = f"optimum INT8 {kind}".strip(), folder / optimum_export.INT8
                self._model.append(onnx_session(name, graph, self._threads))
            self._add_pipeline("INT8", made.untied / optimum_export.INT8)
        if _DYNAMIC in asked:
            self._model.append(onnx_session(_OPTIMUM[_DYNAMIC], made.plain_int8, self._threads))

    def _add_pipeline(self, precision: str, graph: Path) -> None:
        arguments = {
            "folder": str(graph.parent),
            "file": graph.name,
            "task": self._task,
            "threads": self._threads,
        }
        name = f"transformers on optimum {precision}"
        size = graph.stat().st_size
        self._pipeline.append(EngineSpec(name, _OPTIMUM_PIPELINE, arguments, size))

    def add_per_tensor(self) -> None:
        if PER_TENSOR not in self._settings.engines:
            return
        self._progress("quantizing per tensor")
        path = self._folder / "per_tensor.onnx"
        per_tensor.write(self.lineup.artifact, path)
        self._model.append(onnx_session("our graph per tensor", path, self._threads))

    def add_peers(self) -> None:
        asked = [name for word, name in _PEERS.items() if word in self._settings.engines]
        python = self._settings.interpreter
        if not asked:
            return
        if python is None:
            self._leave_out(asked, NO_ENVIRONMENT)
            return
        self._progress("converting for OpenVINO and CTranslate2")
        place = self._folder / "peers"
        try:
            made = conversion.make(python, self._task, self._checkpoint, place, self._threads)
        except BenchError as error:
            self._leave_out(asked, one_line(error))
            return
        if _STATIC in self.lineup.ours and _PEERS[_OPENVINO_INT8] in asked:
            artifact = self.lineup.artifact
            graph = artifact.path / artifact.variant(_STATIC).standard
            name = f"{our_name(_STATIC)} in OpenVINO"
            self._model.append(conversion.openvino(name, graph, python, self._threads))
        self._model.extend(spec for spec in made.engines if spec.name in asked)
        self.lineup.packages.update(made.packages)
        for name in asked:
            if name in made.skipped:
                self._leave_out([name], made.skipped[name])

    def _leave_out(self, names: Iterable[str], reason: str) -> None:
        self.lineup.left_out.update(dict.fromkeys(names, reason))
