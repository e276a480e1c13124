"""A result as a table to read."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from distilroberta.quantize.quality.result import Result, Scores

_NOTHING = "-"
# The others are shares.
_PLAIN = {"perplexity": ".2f", "matthews": ".4f", "spearman": ".4f", "pearson": ".4f"}


def table(result: Result) -> Table:
    """Lay out a row for each model: its size, its scores, what it loses, how near it is."""
    counts = ", ".join(
        f"{count} {name.replace('_', ' ')}"
        for index, (name, count) in enumerate(result.counts.items())
        if count or not index
    )
    against = f", against {result.reference}" if result.reference else ""
    laid_out = Table("variant", title=Text(f"{result.data}: {counts}{against}"))
    metrics = list(result.scores[0].metrics)
    shown = [name.replace("_", " ") for name in metrics]
    for name in ("MB", *shown, "points lost", "same top", "KL, nats"):
        laid_out.add_column(name, justify="right")
    for scores in result.scores:
        laid_out.add_row(
            Text(scores.name),
            _NOTHING if scores.bytes is None else f"{scores.bytes / 1e6:.1f}",
            *(format(scores.metrics[name], _PLAIN.get(name, ".2%")) for name in metrics),
            *_compared(result, scores),
        )
    return laid_out


def _compared(result: Result, scores: Scores) -> tuple[str, str, str]:
    near, lost = scores.agreement, result.lost(scores.name)
    if near is None:
        return (_NOTHING,) * 3
    return (
        _NOTHING if lost is None else f"{lost:+.2f}",
        _NOTHING if near.same_top is None else f"{near.same_top:.2%}",
        _NOTHING if near.kl is None else f"{near.kl:.3g}",
    )
