"""One way to compare a pipeline with the transformers pipeline of the same name."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from distilroberta.export import build
from distilroberta.runtime import Artifact, pipeline
from distilroberta.runtime.digest import sha256_of

TOLERANCE = 1e-4
# Two neighbours whose scores differ by less may stand in either order: FP32 sums taken in another
# order move a score by about as much. Every other row must stand where transformers has it.
NEAR_TIE = 1e-6

# Runs a call through both pipelines, asserts that the answers are the same, returns ours.
Same = Callable[..., Any]
# Makes a `Same` of a checkpoint, and of the artifact built from it.
SameMaker = Callable[..., Same]
# Writes to files of an artifact and lets the manifest say so.
Editor = Callable[..., None]


def _assert_same(found: Any, expected: Any, where: str = "answer") -> None:
    # transformers has NumPy scores in some answers. Ours are Python floats, which JSON can hold.
    expected = float(expected) if isinstance(expected, np.floating) else expected
    assert type(found) is type(expected), where
    if isinstance(expected, dict):
        assert list(found) == list(expected), where
        if "labels" in expected:
            found, expected = _ranked(found), _ranked(expected)
        for key, value in expected.items():
            _assert_same(found[key], value, f"{where}[{key!r}]")
    elif isinstance(expected, list):
        assert len(found) == len(expected), where
        for index, pair in enumerate(zip(_in_order_of(found, expected), expected, strict=True)):
            _assert_same(*pair, f"{where}[{index}]")
    elif isinstance(expected, float):
        assert abs(found - expected) <= TOLERANCE, where
    else:
        assert found == expected, where


def _ranked(answer: dict[str, Any]) -> dict[str, Any]:
    # The labels of zero-shot classification and their scores, as rows.
    pairs = zip(answer["labels"], answer["scores"], strict=True)
    rows = [{"label": label, "score": score} for label, score in pairs]
    return {"sequence": answer["sequence"], "ranked": rows}


def _in_order_of(found: list[Any], expected: list[Any]) -> list[Any]:
    rows = list(found)
    for index, (row, following) in enumerate(itertools.pairwise(expected)):
        if (
            not isinstance(row, dict)
            or _name(row) is None
            or abs(row["score"] - following["score"]) >= NEAR_TIE
        ):
            continue
        if (_name(rows[index]), _name(rows[index + 1])) == (_name(following), _name(row)):
            rows[index : index + 2] = [rows[index + 1], rows[index]]
    return rows


def _name(row: dict[str, Any]) -> Any:
    # None for rows that do not stand in the order of their scores, such as entities.
    return next((row[key] for key in ("label", "token", "answer") if key in row), None)


@pytest.fixture(scope="session")
def make_same(tmp_path_factory: pytest.TempPathFactory) -> SameMaker:
    """Make the comparison of a checkpoint: `make_same(checkpoint)(inputs, **parameters)`.

    `defaults` go to both constructors in place of the call, `theirs` to the transformers call
    alone. Inputs that can be read only once are given as a function that makes them. Those that
    have names of their own, such as `question`, are parameters, and `inputs` is left out. `task` is
    the artifact's unless another is given.
    """

    def make(checkpoint: Path, artifact: Artifact | None = None, task: str | None = None) -> Same:
        if artifact is None:
            folder = tmp_path_factory.mktemp("artifacts") / "same"
            artifact = build(checkpoint, folder, variants=["fp32"])
        task = task or artifact.task
        reference = transformers.pipeline(
            task,
            model=str(checkpoint),
            tokenizer=str(checkpoint),
            device="cpu",
            dtype=torch.float32,  # not the FP16 a checkpoint may be stored in
        )
        ours = pipeline(task, artifact, variant="fp32", provider="cpu")

        def same(
            inputs: Any = None,
            *,
            defaults: dict[str, Any] | None = None,
            theirs: dict[str, Any] | None = None,
            **call: Any,
        ) -> Any:
            their, our = reference, ours
            if defaults is not None:
                parts = {"model": reference.model, "tokenizer": reference.tokenizer}
                their = transformers.pipeline(task, device="cpu", **parts, **defaults)
                our = pipeline(task, artifact, variant="fp32", provider="cpu", **defaults)
            made = callable(inputs)
            given = [] if inputs is None else [inputs]
            expected = their(*([inputs()] if made else given), **call, **(theirs or {}))
            found = our(*([inputs()] if made else given), **call)
            if made:
                assert iter(found) is found, "an iterable is answered lazily"
                expected, found = list(expected), list(found)
            _assert_same(found, expected)
            return found

        return same

    return make


@pytest.fixture(scope="session")
def same_fill(make_same: SameMaker, mini: Path, mini_artifact: Artifact) -> Same:
    """Compare fill-mask answers of the bundled checkpoint."""
    return make_same(mini, mini_artifact)


@pytest.fixture(scope="session")
def same_labels(make_same: SameMaker, classifier: Path, classifier_artifact: Artifact) -> Same:
    """Compare the answers of the three-label classifier."""
    return make_same(classifier, classifier_artifact)


@pytest.fixture(scope="session")
def fill(mini_artifact: Artifact) -> Any:
    """A fill-mask pipeline in FP32."""
    return pipeline("fill-mask", mini_artifact, variant="fp32", provider="cpu")


@pytest.fixture(scope="session")
def classify(classifier_artifact: Artifact) -> Any:
    """A text classification pipeline in FP32."""
    return pipeline("text-classification", classifier_artifact, variant="fp32", provider="cpu")


@pytest.fixture
def edit_json() -> Editor:
    """Change a JSON file of an artifact: `edit_json(folder, name, change)`.

    `change` gets the tree and changes it in place. The manifest then lists the file as it is, so
    that what is refused is the content.
    """

    def edit(folder: Path, name: str, change: Callable[[dict[str, Any]], Any]) -> None:
        path, listing = folder / name, folder / "manifest.json"
        tree = json.loads(path.read_text("utf-8"))
        change(tree)
        path.write_text(json.dumps(tree), "utf-8")
        if name != listing.name:
            manifest = json.loads(listing.read_text("utf-8"))
            entry = {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
            manifest["files"][name] = entry
            listing.write_text(json.dumps(manifest), "utf-8")

    return edit
