"""What half precision can't hold in a graph, measured on texts (see `half_trials`)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain

import numpy as np
import onnx

from distilroberta.quantize.errors import QuantizationError
from distilroberta.quantize.half_trials import Trial, Trials
from distilroberta.quantize.recipe import Feed
from distilroberta.quantize.spread import spread

# A quarter of the largest half: other texts may give larger values than those tried.
LARGEST = float(np.finfo(np.float16).max) / 4
# Of a row's length. In trained models the worst row of the worst node (a softmax of scores up to
# 68) lost 1.1%, other nodes at most 0.4%, and all of half precision together moved the divergence
# of the answers by 2e-6.
LARGEST_LOSS = 1 / 32
# Each costs two runs of the graph.
_TEXTS = 32
# How far up what a node reads is looked at: a layer norm takes away a mean that came with the bias
# of a product, three values before.
_STEPS = 4


def too_coarse_in_half(model: onnx.ModelProto, feeds: Iterable[Feed]) -> frozenset[str]:
    """Return the values that half precision can't hold, by their origins.

    They are those larger than a quarter of 65504, and those that make a node's result lose more
    than 1/32 of a row's length when they are rounded: too small for a half, or nearly cancelling
    out. Where that is so whatever stays in FP32 nearby, as in a softmax of scores in the hundreds,
    what the node reads is itself no better known, and nothing is gained by keeping it.

    Args:
        model: an FP32 graph, which is left as it was.
        feeds: batches to try, of which 32 are taken, see `spread`.

    Raises:
        QuantizationError: there is no batch to try.
    """
    tried = spread(feeds, _TEXTS)
    if not tried:
        raise QuantizationError("fp16 needs a text to find out what half precision can't hold")
    trials = Trials(model)
    whole = {node: Trial(node) for node in trials.nodes}
    sizes = trials.weight_sizes()
    found, losses = trials.measure(trials.floats - set(sizes), whole.values(), tried)
    sizes |= found
    exact = frozenset(trials.origins[name] for name, size in sizes.items() if size > LARGEST)
    lossy = [node for node, trial in whole.items() if losses[trial] > LARGEST_LOSS]
    return exact | _cure(trials, exact, {*lossy, *trials.reading(exact)}, tried)


def _cure(
    trials: Trials, exact: frozenset[str], nodes: Iterable[str], feeds: Sequence[Feed]
) -> frozenset[str]:
    # The origins that have to be exact too for these nodes not to lose too much.
    found: frozenset[str] = frozenset()
    left = [Trial(node, exact) for node in sorted(nodes)]
    for _ in range(_STEPS):
        if not left:
            break
        left = [replace(trial, exact=trial.exact | found) for trial in left]
        parts = {
            trial: [replace(trial, only=origin) for origin in sorted(trials.rounded(trial))]
            for trial in left
        }
        _, losses = trials.measure((), [*left, *chain.from_iterable(parts.values())], feeds)
        left = []
        for trial, alone in parts.items():
            if losses[trial] <= LARGEST_LOSS:
                found |= trial.exact
                continue
            # Of n that lose too much together, one at least loses an nth of it alone.
            share = LARGEST_LOSS / max(1, len(alone))
            blamed = {str(part.only) for part in alone if losses[part] > share}
            left.append(replace(trial, exact=trial.exact | blamed))
    return found
