"""Which rows go through the graph together.

Rows of one batch are padded to the longest, and a batch costs what its longest row costs times its
rows, and something of its own: the weights are read once for each. So rows are taken by length,
longest first, until a batch is as large as it need be for the weights to be read rarely enough, or
until the next row would be padded more than a batch of its own costs.
"""

from __future__ import annotations

from collections.abc import Sequence

# Tokens of a batch, padding included. Larger ones gain nothing: the activations of more rows no
# longer fit the processor's cache. `distilroberta bench throughput` shows both ends.
TOKENS = 256
# The padding of one row that costs about as much as running it by itself.
MOST_PADDING = 16


def pack(lengths: Sequence[int], most_rows: int | None = None) -> list[list[int]]:
    """Put rows into batches.

    Args:
        lengths: the number of tokens of each row.
        most_rows: how many rows a batch has at the most, whatever their length. None packs by
            `TOKENS` and `MOST_PADDING`.

    Returns:
        The indices of the rows of each batch. Batches come longest first, so that the last ones to
        run, when there is nothing left to run beside them, are the short ones.
    """
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        if batches and _fits(lengths, batches[-1], index, most_rows):
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def _fits(lengths: Sequence[int], batch: list[int], index: int, most_rows: int | None) -> bool:
    if most_rows is not None:
        return len(batch) < most_rows
    longest = lengths[batch[0]]
    return longest * (len(batch) + 1) <= TOKENS and longest - lengths[index] <= MOST_PADDING
