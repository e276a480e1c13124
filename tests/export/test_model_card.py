"""The model card: what is carried over, and that its figures are the manifest's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from distilroberta.export import build
from distilroberta.runtime import Artifact

CARD = """\
---
license: apache-2.0
language: en
datasets:
- openwebtext
---

# Mini

Trained on little.

## Limits

```
# not a heading
```
"""


def card_of(folder: Path, text: str | None) -> tuple[ModelCard, Artifact]:
    if text is not None:
        (folder / "README.md").write_text(text, "utf-8")
    artifact = build(folder, folder.parent / "artifact", variants=["fp32"])
    return ModelCard.load(artifact.path / "README.md"), artifact


def test_card_is_carried_over_below_its_own_section(labeller_copy: Path) -> None:
    card, _ = card_of(labeller_copy, CARD)
    own, carried = card.text.split("## Intended use, limits and bias\n")
    assert carried.startswith("\nFrom the original model card:\n\n### Mini\n\nTrained on little.")
    assert "\n#### Limits\n\n```\n# not a heading\n```\n" in carried
    assert own.startswith("\n# labeller, as ONNX\n")


def test_licence_is_that_of_the_original(labeller_copy: Path) -> None:
    card, artifact = card_of(labeller_copy, CARD)
    assert card.data.license == artifact.manifest.licence == "apache-2.0"
    assert card.data.pipeline_tag == "text-classification"
    assert card.data.get("datasets") is None, "says nothing of what it was trained on in its name"


@pytest.mark.parametrize(
    "front", ["---\nlicense: [mit\n---\n", "---\n: : :\n---\n", "---\n- a list\n---\n", ""]
)
def test_text_of_a_card_with_broken_metadata_is_carried_over(
    labeller_copy: Path, front: str
) -> None:
    card, artifact = card_of(labeller_copy, f"{front}\n# Mini\n\nTrained on little.\n")
    assert "### Mini\n\nTrained on little." in card.text
    assert artifact.manifest.licence is None
    assert card.data.get("license") is None


@pytest.mark.parametrize(
    "text", [None, "", "---\nlicense: mit\n---\n"], ids=["no", "empty", "bare"]
)
def test_missing_card_is_said_plainly(labeller_copy: Path, text: str | None) -> None:
    card, _ = card_of(labeller_copy, text)
    assert "The checkpoint came without a model card" in card.text
    assert "From the original" not in card.text


def test_card_that_is_not_utf8_is_carried_over(labeller_copy: Path) -> None:
    (labeller_copy / "README.md").write_bytes(b"# Caf\xe9 model\n")
    card, _ = card_of(labeller_copy, None)
    assert "### Caf\ufffd model" in card.text


def test_figures_are_those_of_the_manifest(classifier_artifact: Artifact) -> None:
    text = (classifier_artifact.path / "README.md").read_text("utf-8")
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| ")]
    table = {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows[1:]}
    assert list(table) == ["fp32", "fp16", "int8"]
    for name, (size, same_top, difference, cosine, kl) in table.items():
        variant = classifier_artifact.manifest.variants[name]
        measured = variant.agreement
        bytes_ = (classifier_artifact.path / variant.graph).stat().st_size
        assert float(size) == pytest.approx(bytes_ / 1e6, abs=0.05)
        assert float(same_top.rstrip("%")) / 100 == pytest.approx(measured.same_top, abs=5e-4)
        assert float(difference) == pytest.approx(measured.largest_difference, rel=0.06)
        assert float(cosine) == pytest.approx(measured.cosine, abs=1e-6)
        assert float(kl) == pytest.approx(measured.kl, rel=0.06)
    assert f"The logits of {measured.rows} probe texts" in text


@pytest.mark.parametrize(
    "artifact",
    [
        "mini_artifact",
        "classifier_artifact",
        "tagger_artifact",
        "answerer_artifact",
        "embedder_artifact",
    ],
)
def test_use_that_the_card_shows_works(request: pytest.FixtureRequest, artifact: str) -> None:
    built = request.getfixturevalue(artifact)
    text = (built.path / "README.md").read_text("utf-8")
    code = text.split("```python\n")[1].split("```")[0]
    found: dict[str, Any] = {}
    exec(code.replace("path/to/this/folder", str(built.path)), found)  # noqa: S102
    assert found["answer"].task == built.task


def test_size_of_a_served_variant_is_that_of_both_its_files(masker: Path, tmp_path: Path) -> None:
    artifact = build(masker, tmp_path / "artifact", variants=["fp32"])
    files = ("onnx/model.onnx", "onnx/served_fp32.onnx")
    size = sum((artifact.path / name).stat().st_size for name in files) / 1e6
    assert f"| fp32 | {size:.1f} |" in (artifact.path / "README.md").read_text("utf-8")
