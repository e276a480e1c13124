"""What was measured of an artifact's variants, as a section of its model card."""

from __future__ import annotations

import re

from distilroberta.runtime.manifest import Manifest

HEADING = "## What was measured"
# From its heading to the next one of the same level.
_SECTION = re.compile(rf"^{re.escape(HEADING)}$.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)

_ROWS = {
    "fill-mask": "masks",
    "text-classification": "texts",
    "token-classification": "tokens",
    "question-answering": "starts and ends",
}


def section(manifest: Manifest) -> str:
    """Return the section, with a table of one row for each variant."""
    rows = next(iter(manifest.variants.values())).agreement.rows
    lines = [_row(name, manifest) for name in manifest.variants]
    return f"""\
{HEADING}

The logits of {rows} probe {_ROWS[manifest.task]}, each text run by itself on a CPU, against FP32.

| variant | megabytes | same top answer | largest difference | cosine | KL (nats) |
|---|---|---|---|---|---|
{chr(10).join(lines)}

{_evaluated(manifest)}"""


def update(card: str, manifest: Manifest) -> str:
    """Return a model card with the section as it is now; a card without one stays as it is."""
    return _SECTION.sub(lambda _: section(manifest), card, count=1)


def _row(name: str, manifest: Manifest) -> str:
    variant, measured = manifest.variants[name], manifest.variants[name].agreement
    size = manifest.bytes_of(variant) / 1e6
    return (
        f"| {name} | {size:.1f} | {measured.same_top:.1%} | {measured.largest_difference:.2g} | "
        f"{measured.cosine:.6f} | {measured.kl:.2g} |"
    )


def _evaluated(manifest: Manifest) -> str:
    # A table for each data and reference: variants may have been added on other data.
    tables: dict[tuple[str, str, str, str], list[str]] = {}
    for name, variant in manifest.variants.items():
        one = variant.evaluation
        if one is not None:
            of = (one.data, one.data_sha256, one.metric, one.reference_name)
            tables.setdefault(of, []).append(
                f"| {name} | {one.value:.4f} | {one.reference:.4f} | "
                f"{_or_dash(one.same_top, '.1%')} | {_or_dash(one.kl, '.2g')} |"
            )
    return "".join(_table(*of, rows) for of, rows in tables.items())


def _table(data: str, digest: str, metric: str, reference: str, rows: list[str]) -> str:
    return f"""\
On `{data}` (SHA-256 `{digest}`), {metric}:

| variant | score | {reference} | same top answer | KL (nats) |
|---|---|---|---|---|
{chr(10).join(rows)}

"""


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
