"""Making further variants of an artifact from its FP32 graphs, without PyTorch."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from distilroberta.quantize import onnx_file
from distilroberta.quantize import options as option_rules
from distilroberta.quantize.calibration_text import Progress, Texts
from distilroberta.quantize.errors import StagingError
from distilroberta.quantize.feeds import Feeds
from distilroberta.quantize.move_in import beside, move_in, tidy
from distilroberta.quantize.options import Options
from distilroberta.quantize.probes import Probes
from distilroberta.quantize.quality import gate, recorded
from distilroberta.quantize.quality.evaluation import Candidate, Prepared, measure
from distilroberta.quantize.quality.result import Result
from distilroberta.quantize.recipe import NOTHING, Kept
from distilroberta.quantize.recipe import Prepared as PreparedRecipe
from distilroberta.quantize.variants import Graphs, make, prepare
from distilroberta.runtime import layout
from distilroberta.runtime.artifact import Artifact
from distilroberta.runtime.errors import InputError
from distilroberta.runtime.execution.session import Session
from distilroberta.runtime.manifest import Variant
from distilroberta.runtime.tasks.model_config import ModelConfig
from distilroberta.runtime.tasks.tokenizer import Tokenizer

_FP32 = "fp32"
_TOOLS = ("distilroberta-onnx", "onnx", "onnxruntime")

# Chooses the weights that stay in a higher precision, of a recipe made ready.
Choose = Callable[[PreparedRecipe, Graphs, Feeds], Kept]


def _silent(*_: object) -> None:
    """Report progress to nobody."""


@dataclass(frozen=True)
class Checked:
    """An artifact's FP32 side: its graphs, calibration batches and probes."""

    graphs: Graphs
    feeds: Feeds
    probes: Probes


def quantize(
    artifact: str | os.PathLike[str],
    variants: Sequence[str],
    *,
    options: Options | None = None,
    calibration: str | os.PathLike[str] | None = None,
    choose: Choose | None = None,
    data: str | os.PathLike[str] | None = None,
    max_drop: float | None = None,
    force: bool = False,
    progress: Callable[[str], None] = _silent,
    advance: Progress = _silent,
) -> Artifact:
    """Add variants to an artifact, made from its FP32 graphs.

    Everything is made and measured beside the artifact before anything in it changes, then moved
    in. On any error, and on Ctrl-C, it is as it was. A run that is killed while files move leaves
    an artifact that opens, without the variants it was to replace; the next run makes it whole.

    Args:
        artifact: the artifact's folder; it must hold `fp32`, and be as its manifest says.
        variants: any of `layout.VARIANTS` but `fp32`.
        options: what is chosen about them.
        calibration: texts to observe, see `calibration_text`; by default those of the package.
        choose: given one variant, chooses the weights to keep in a higher precision.
        data: labelled data to score the new variants on, beside the artifact's `fp32`, see
            `quality.readers`; what they score goes into the manifest and the model card.
        max_drop: with `data`, how many points of the task's main metric a variant may lose.
        force: replace variants that are there, and what they scored.
        progress: called with a line on what is done next.
        advance: called after each calibration text of each pass, and each batch that is scored,
            with how many texts or rows are done, and how many there are.

    Returns:
        The artifact, opened.

    Raises:
        InputError: a variant is unknown, there already, or there is no `fp32`; or the options do
            not go together.
        DataError: `data` can't be read, has no labels, or does not fit the task.
        ArtifactError: the artifact is damaged.
        QuantizationError: the model can't be made smaller in this way, or answers too differently.
        QualityError: a variant loses more than `max_drop`.
        StagingError: the disk is full, or fails in another way.
    """
    options = options or Options()
    data = None if data is None else Path(data)
    opened = Artifact(artifact)
    names = option_rules.check(variants, options, calibration, choosing=choose is not None)
    _check(opened, names, force=force)
    recorded.check(data, max_drop)
    texts = Texts(calibration, progress=advance)
    labelled = None
    if data is not None:
        progress(f"reading {data.name}")
        labelled = recorded.prepare(opened.path, opened.task, data)
    try:
        with beside(opened.path) as folder:
            progress("verifying the artifact")
            opened = tidy(opened, folder)
            opened.verify()
            progress("running FP32 on the probe texts")
            checked = _checked(opened, texts)
            made = {}
            for name in names:
                progress(f"making {name}")
                recipe, prepared = prepare(name, checked.graphs, checked.feeds, options)
                kept = choose(prepared, checked.graphs, checked.feeds) if choose else NOTHING
                one = make(
                    name,
                    recipe,
                    prepared,
                    checked.graphs,
                    checked.probes,
                    folder,
                    target=option_rules.target_of(name, options),
                    kept=kept,
                )
                made[name] = replace(one, made_with=_tools())
            if labelled is not None:
                progress(f"scoring the variants on {labelled.data.name}")
                result = _scored(opened, folder, made, labelled, advance)
                if max_drop is not None:
                    gate.check(result, max_drop)
                found = recorded.evaluations(result)
                made = {name: replace(one, evaluation=found[name]) for name, one in made.items()}
            progress("moving the new files in")
            move_in(opened, folder, made)
    except OSError as error:
        raise StagingError(f"{opened.path} could not be written: {error}") from error
    return Artifact(opened.path)


def _check(opened: Artifact, names: Sequence[str], *, force: bool) -> None:
    if _FP32 in names:
        raise InputError("fp32 is what variants are made from; `distilroberta build` makes it")
    if _FP32 not in opened.variants:
        raise InputError(
            f"{opened.path} holds no fp32 to make variants from (it has "
            f"{', '.join(opened.variants)}): build it again with fp32 among the variants"
        )
    there = [name for name in names if name in opened.variants]
    if there and not force:
        raise InputError(f"{opened.path} has {', '.join(there)} already: replace with --force")


def _checked(opened: Artifact, texts: Texts) -> Checked:
    fp32 = opened.variant(_FP32)
    tokenizer = Tokenizer(opened.path, ModelConfig.read(opened.file(layout.CONFIG)))
    session = opened.session(_FP32, provider="cpu")
    probes = Probes(tokenizer, opened.task, session.run)
    served = opened.file(fp32.graph) if fp32.graph != fp32.standard else None
    graphs = Graphs(
        onnx_file.read(opened.file(fp32.standard)),
        onnx_file.read(served) if served is not None else None,
    )
    return Checked(graphs, Feeds(tokenizer, opened.task, texts), probes)


def _scored(
    opened: Artifact, folder: Path, made: dict[str, Variant], data: Prepared, advance: Progress
) -> Result:
    candidates = [Candidate(_FP32, opened.session(_FP32, provider="cpu").run)]
    for name, one in made.items():
        session = Session(name, folder / one.graph, one, "cpu", None)
        candidates.append(Candidate(name, session.run))
    return measure(data, candidates, reference=_FP32, progress=advance)


def _tools() -> str:
    return ", ".join(f"{name} {version(name)}" for name in _TOOLS)
