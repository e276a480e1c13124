"""How many times as fast, and how sure that is: a bootstrap over paired rounds.

The two engines of a round met the same machine, so the ratio is taken in each round; the estimate
is the median of these. What the rounds would have given had they fallen otherwise is estimated by
drawing rounds with replacement, 9,999 times: the percentile bootstrap of Efron and Tibshirani, An
Introduction to the Bootstrap (1993), chapter 13. Over several cells, the same rounds are drawn for
all of them, since what disturbs a round disturbs its neighbours; the cells' ratios are combined by
their geometric mean, in which twice and half as fast cancel.

The ends of a cell's interval are ratios that some round had, so that with few rounds it can't hold
the true ratio in just 95 % of all runs: it does in 94 % with 5 rounds, 87 % with 7, 96 % with 9,
93 % with 11 and 95 % with 17 (the binomial distribution says so of any continuous one).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap

from distilroberta.bench.errors import BenchError

LEVEL = 0.95
# With fewer, even the lowest and the highest ratio of all rounds are no interval of about 95 %.
ENOUGH_ROUNDS = 5
FASTER, SLOWER, SAME, UNCLEAR = "faster", "slower", "no difference", "unclear"
_RESAMPLES = 9999
_SEED = 0


@dataclass(frozen=True)
class Ratio:
    """An estimate with its confidence interval, at 95 %, and how many rounds it is of.

    With fewer rounds than `ENOUGH_ROUNDS` the interval is too short to be one.
    """

    estimate: float
    low: float
    high: float
    rounds: int

    def __str__(self) -> str:
        """Return `estimate (low-high)`, with two decimals."""
        return f"{self.estimate:.2f} ({self.low:.2f}-{self.high:.2f})"


def of(numerator: Sequence[float], denominator: Sequence[float]) -> Ratio:
    """Return the ratio of two engines' times; both have a positive time for each round.

    Raises:
        BenchError: they were not measured in the same rounds, or in none.
    """
    return over_cells([(numerator, denominator)])


def over_cells(cells: Sequence[tuple[Sequence[float], Sequence[float]]]) -> Ratio:
    """Return the geometric mean of several cells' ratios.

    Args:
        cells: for each the numerator's and the denominator's times, a positive one for each round.
            All have the same rounds.

    Raises:
        BenchError: rounds are missing in a cell, or there are none.
    """
    counts = {len(times) for cell in cells for times in cell}
    if len(counts) != 1 or counts == {0}:
        raise BenchError(f"a ratio needs paired rounds, found {sorted(counts)}")
    logs = np.array([np.log(above) - np.log(below) for above, below in cells])  # (cells, rounds)
    estimate = float(np.exp(_combined(logs)))
    if counts == {1}:  # of one round nothing can be said but itself
        return Ratio(estimate, estimate, estimate, 1)
    rounds = np.arange(logs.shape[1])
    found = bootstrap(
        (rounds,),
        lambda drawn, axis: _combined(logs[:, drawn]),
        n_resamples=_RESAMPLES,
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.default_rng(_SEED),
    ).confidence_interval
    return Ratio(estimate, float(np.exp(found.low)), float(np.exp(found.high)), len(rounds))


def verdict(ratio: Ratio) -> str:
    """Return what an interval shows: faster above 1, slower below, no difference with 1 in it.

    Of too few rounds nothing is shown.
    """
    if ratio.rounds < ENOUGH_ROUNDS:
        return UNCLEAR
    if ratio.low > 1:
        return FASTER
    return SLOWER if ratio.high < 1 else SAME


def warning(ratio: Ratio) -> str | None:
    """Say why a ratio is to be taken with care; None where it is not.

    Its rounds are too few, or its interval is wider than the difference it is to show.
    """
    if ratio.rounds < ENOUGH_ROUNDS:
        few = "1 round is" if ratio.rounds == 1 else f"{ratio.rounds} rounds are"
        return f"{few} too few for an interval of 95 %, which takes {ENOUGH_ROUNDS}"
    width, difference = ratio.high - ratio.low, abs(ratio.estimate - 1)
    if width <= difference:
        return None
    return f"the interval is {width:.2f} wide, the difference it is to show {difference:.2f}"


def _combined(logs: NDArray[np.float64]) -> NDArray[np.float64]:
    # (cells, rounds) or (cells, resamples, rounds): the rounds' median, then the cells' mean.
    return np.asarray(np.median(logs, axis=-1).mean(axis=0))
