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
    "feature-extraction": "tokens",
}
_LOGITS = """\
| variant | megabytes | same top answer | largest difference | cosine | KL (nats) |
|---|---|---|---|---|---|"""
_HIDDEN_STATES = """\
The relative error is the length of the error divided by that of what sets the tokens apart, their
distances to their mean.

| variant | megabytes | cosine | lowest cosine of a token | relative error | largest difference |
|---|---|---|---|---|---|"""


def section(manifest: Manifest) -> str:
    """Return the section, with a table of one row for each variant."""
    rows = next(iter(manifest.variants.values())).agreement.rows
    lines = [_row(name, manifest) for name in manifest.variants]
    hidden = manifest.task == "feature-extraction"
    what, head = ("hidden states", _HIDDEN_STATES) if hidden else ("logits", _LOGITS)
    return f"""\
{HEADING}

The {what} of {rows} probe {_ROWS[manifest.task]}, each text run by itself on a CPU, against FP32.

{head}
{chr(10).join(lines)}

{_evaluated(manifest)}"""


def update(card: str, manifest: Manifest) -> str:
    """Return a model card with the section as it is now; a card without one stays as it is."""
    return _SECTION.sub(lambda _: section(manifest), card, count=1)


def _row(name: str, manifest: Manifest) -> str:
    variant, measured = manifest.variants[name], manifest.variants[name].agreement
    size, cosine = f"{manifest.bytes_of(variant) / 1e6:.1f}", f"{measured.cosine:.6f}"
    difference = f"{measured.largest_difference:.2g}"
    if manifest.task == "feature-extraction":
        worst = _or_dash(measured.worst_cosine, ".6f")
        cells = [size, cosine, worst, _or_dash(measured.relative_error, ".2g"), difference]
    else:
        same_top, kl = _or_dash(measured.same_top, ".1%"), _or_dash(measured.kl, ".2g")
        cells = [size, same_top, difference, cosine, kl]
    return f"| {name} | {' | '.join(cells)} |"


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
