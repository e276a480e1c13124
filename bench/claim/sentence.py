"""What was found of the claim, in one sentence."""

from __future__ import annotations

from collections.abc import Sequence

from distilroberta.bench.claim import terms
from distilroberta.bench.claim.verdict import Overall

_WORDS = {
    terms.TWICE: "twice as fast as RoBERTa-base for {}",
    terms.FASTER: "faster, but not twice, for {}",
    terms.UNCLEAR: "not shown to be twice as fast for {}",
    terms.SAME: "not shown to be faster for {}",
    terms.SLOWER: "slower for {}",
    terms.NOTHING: "not measured for {}",
}


def of(named: Sequence[tuple[str, str, Overall]]) -> str:
    """Say in one sentence what was found over all cells of each pair.

    Args:
        named: the task of each pair, its engine and precision, and what was found.
    """
    if all(whole.ratio is None for _, _, whole in named):
        return "Nothing was measured."
    parts = []
    for word, said in _WORDS.items():
        found = [_pair(*one) for one in named if one[2].verdict == word]
        if found:
            parts.append(said.format(_joined(found)))
    return f"On this machine DistilRoBERTa is {'; '.join(parts)}."


def subset(whole: Overall) -> str | None:
    """Return which cells a ratio is over, where it is not over all; None where it is."""
    if whole.measured == whole.cells:
        return None
    missing = whole.cells - whole.measured
    some = "one cell that was" if whole.measured == 1 else f"{whole.measured} cells that were"
    return f"over the {some} measured, {missing} of {whole.cells} cells were not measured"


def _pair(task: str, setting: str, whole: Overall) -> str:
    if whole.ratio is None:
        return f"{task} ({setting})"
    cells = subset(whole)
    times = f"{whole.ratio} times"
    return f"{task} ({setting}: {f'{times} {cells}' if cells else times})"


def _joined(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
