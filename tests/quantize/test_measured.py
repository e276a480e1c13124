"""The table of what was measured, and how a model card takes on another one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from distilroberta.quantize import measured
from distilroberta.runtime import layout
from distilroberta.runtime.manifest import (
    Agreement,
    Evaluation,
    FileEntry,
    Manifest,
    Source,
    Variant,
)

CARD = """\
# a model, as ONNX

Text before, 100% of it.

{section}## Intended use, limits and bias

### What was measured

| not | ours |
## What was measured, by others

```
## What was measured
```
"""


def variant(name: str, **agreement: Any) -> Variant:
    figures = {"largest_difference": 0.0, "cosine": 1.0, "same_top": 1.0, "kl": 0.0}
    return Variant(
        graph=f"onnx/served_{name}.onnx",
        reads=(f"onnx/{name}.onnx",),
        standard=f"onnx/{name}.onnx",
        precision=name,
        scheme="",
        opset=17,
        onnxruntime="1.16.0",
        inputs=(),
        outputs=(),
        agreement=Agreement(rows=81, **{**figures, **agreement}),
    )


@pytest.fixture
def manifest() -> Manifest:
    """A manifest of two variants."""
    variants = {
        "fp32": variant("fp32", largest_difference=1.2e-5),
        "int8": variant(
            "int8", largest_difference=0.3456, cosine=0.999123, same_top=0.963, kl=2e-3
        ),
    }
    sizes = {"fp32": 330_000_000, "int8": 85_040_000}
    files = {}
    for name, size in sizes.items():
        files[f"onnx/{name}.onnx"] = FileEntry(size, "0" * 64)
        files[f"onnx/served_{name}.onnx"] = FileEntry(20_000, "0" * 64)
    return Manifest("fill-mask", None, Source("m", None, "0" * 64), files, variants, {})


def test_section_has_a_row_for_each_variant(manifest: Manifest) -> None:
    assert measured.section(manifest) == (
        "## What was measured\n"
        "\n"
        "The logits of 81 probe masks, each text run by itself on a CPU, against FP32.\n"
        "\n"
        "| variant | megabytes | same top answer | largest difference | cosine | KL (nats) |\n"
        "|---|---|---|---|---|---|\n"
        "| fp32 | 330.0 | 100.0% | 1.2e-05 | 1.000000 | 0 |\n"
        "| int8 | 85.1 | 96.3% | 0.35 | 0.999123 | 0.002 |\n"
        "\n"
    )


@pytest.mark.parametrize("task", layout.TASKS)
def test_section_says_what_the_rows_are(manifest: Manifest, task: str) -> None:
    words = {
        "fill-mask": "81 probe masks,",
        "text-classification": "81 probe texts,",
        "token-classification": "81 probe tokens,",
        "question-answering": "81 probe starts and ends,",
        "feature-extraction": "81 probe tokens,",
    }
    assert words[task] in measured.section(replace(manifest, task=task))


def test_section_on_hidden_states_is_about_vectors(manifest: Manifest) -> None:
    none: dict[str, Any] = {"same_top": None, "kl": None}
    close = variant("fp32", worst_cosine=0.99999999, relative_error=9e-7, **none)
    far = variant(
        "int8",
        cosine=0.998932,
        worst_cosine=0.996898,
        relative_error=0.0493,
        largest_difference=0.0906,
        **none,
    )
    made = replace(manifest, task="feature-extraction", variants={"fp32": close, "int8": far})
    text = measured.section(made)
    assert "The hidden states of 81 probe tokens, each text run by itself on a CPU" in text
    assert text.endswith(
        "| variant | megabytes | cosine | lowest cosine of a token | relative error | "
        "largest difference |\n"
        "|---|---|---|---|---|---|\n"
        "| fp32 | 330.0 | 1.000000 | 1.000000 | 9e-07 | 0 |\n"
        "| int8 | 85.1 | 0.998932 | 0.996898 | 0.049 | 0.091 |\n"
        "\n"
    )


def test_card_takes_on_a_new_section_and_keeps_the_rest(manifest: Manifest) -> None:
    old = replace(manifest, variants={"fp32": manifest.variants["fp32"]})
    card = CARD.format(section=measured.section(old))
    found = measured.update(card, manifest)
    assert found == CARD.format(section=measured.section(manifest))
    assert measured.update(found, manifest) == found


def test_section_at_the_end_is_replaced_too(manifest: Manifest) -> None:
    card = "# m\n\n## What was measured\n\nnothing yet"
    assert measured.update(card, manifest) == "# m\n\n" + measured.section(manifest)


def test_card_without_the_section_stays(manifest: Manifest) -> None:
    card = "# m\n\n### What was measured\n\n## What was measured elsewhere\n"
    assert measured.update(card, manifest) == card


def test_scores_stand_in_a_table_for_each_data_and_reference(manifest: Manifest) -> None:
    built = Evaluation("dev.tsv", "1" * 64, "accuracy", 0.9, 0.91, 0.99, 0.002)
    added = replace(built, value=0.8, same_top=None, kl=None, reference_name="fp32")
    variants = {
        "fp32": replace(manifest.variants["fp32"], evaluation=built),
        "int8": replace(manifest.variants["int8"], evaluation=added),
    }
    found = measured.section(replace(manifest, variants=variants))
    said = f"On `dev.tsv` (SHA-256 `{'1' * 64}`), accuracy:\n\n"
    assert found.endswith(
        f"\n\n{said}"
        "| variant | score | PyTorch FP32 | same top answer | KL (nats) |\n"
        "|---|---|---|---|---|\n"
        "| fp32 | 0.9000 | 0.9100 | 99.0% | 0.002 |\n"
        f"\n{said}"
        "| variant | score | fp32 | same top answer | KL (nats) |\n"
        "|---|---|---|---|---|\n"
        "| int8 | 0.8000 | 0.9100 | - | - |\n"
        "\n"
    )
