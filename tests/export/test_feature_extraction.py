"""An artifact for feature extraction: of any checkpoint, in every variant, measured as vectors."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from distilroberta.export import build
from distilroberta.quantize.add import quantize
from distilroberta.runtime import Artifact, InputError, layout, pipeline
from distilroberta.runtime.command_line import run

Capture = pytest.CaptureFixture[str]

TEXTS = ["The dog barked at the stranger.", "It rained.", "She went to the house, and slept."]
# The lowest cosine that a text's vector may have to FP32's; the weights are random.
LOWEST = {"fp32": 0.999999, "fp16": 0.9999, "int8-static": 0.97, "int8": 0.97, "int4": 0.9}


@pytest.fixture(scope="module")
def complete(embedder: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A checkpoint without a head, built in every variant there is."""
    folder = tmp_path_factory.mktemp("features") / "complete"
    return build(embedder, folder, variants=layout.VARIANTS)


def test_every_variant_is_made_and_measured(complete: Artifact) -> None:
    assert complete.task == "feature-extraction"
    assert complete.variants == layout.VARIANTS
    errors = []
    for name in complete.variants:
        spec = complete.variant(name)
        assert spec.graph == spec.standard
        (output,) = spec.outputs
        assert (output.name, output.dtype) == ("last_hidden_state", "float32")
        assert output.shape == ("batch_size", "sequence_length", 64)
        assert spec.agreement.same_top is spec.agreement.kl is None
        assert spec.agreement.worst_cosine is not None
        assert spec.agreement.relative_error is not None
        assert spec.agreement.worst_cosine <= spec.agreement.cosine
        errors.append(spec.agreement.relative_error)
    fp32, fp16, *smaller = errors
    assert fp32 < 1e-5 < fp16 < 5e-3 < min(smaller)


@pytest.mark.parametrize("name", layout.VARIANTS)
def test_every_variant_answers(complete: Artifact, name: str) -> None:
    found, exact = (
        pipeline(None, complete, variant=variant, provider="cpu")(TEXTS, pooling="mean")
        for variant in (name, "fp32")
    )
    assert found.shape == exact.shape == (len(TEXTS), 64)
    cosines = (found * exact).sum(axis=1)
    cosines /= np.linalg.norm(found, axis=1) * np.linalg.norm(exact, axis=1)
    assert cosines.min() > LOWEST[name]


def test_variants_can_be_added_without_pytorch(complete: Artifact, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(complete.path, tmp_path / "copy"))
    again = quantize(copy, ["int8"], force=True)
    again.verify()
    added, built = (one.variant("int8").agreement for one in (again, complete))
    assert added.relative_error == pytest.approx(built.relative_error, rel=1e-3)
    assert added.worst_cosine == pytest.approx(built.worst_cosine, abs=1e-6)
    card = (again.path / "README.md").read_text("utf-8")
    assert "| lowest cosine of a token | relative error |" in card


def test_info_has_no_share_of_the_same_top(capsys: Capture, complete: Artifact) -> None:
    assert run(["info", str(complete.path)]) == 0
    rows = [line.split("│") for line in capsys.readouterr().out.splitlines() if "│" in line]
    shown = {row[1].strip(): [cell.strip() for cell in row[5:7]] for row in rows}
    for name in complete.variants:
        assert shown[name] == ["-", f"{complete.variant(name).agreement.cosine:.4f}"]


def test_labelled_data_is_refused_before_the_export(embedder: Path, tmp_path: Path) -> None:
    data = tmp_path / "data.tsv"
    data.write_text("Good.\t1\n", "utf-8")
    with pytest.raises(InputError, match="feature-extraction can't be scored"):
        build(embedder, tmp_path / "artifact", data=data)
    assert list(tmp_path.iterdir()) == [data]


@pytest.mark.reality
def test_variants_of_a_trained_checkpoint_are_close(trained_embedder_artifact: Artifact) -> None:
    fp32, int8 = (trained_embedder_artifact.variant(name).agreement for name in ("fp32", "int8"))
    assert fp32.worst_cosine is not None
    assert int8.worst_cosine is not None
    assert fp32.relative_error is not None
    assert int8.relative_error is not None
    assert fp32.worst_cosine > 0.999999 > int8.worst_cosine > 0.99
    assert fp32.relative_error < 1e-5 < int8.relative_error < 0.07
