"""What a ratio says of the claim, and the reasons, on times that are known."""

from __future__ import annotations

import numpy as np
import pytest

from distilroberta.bench.claim import reason
from distilroberta.bench.claim import verdict as claim_verdict
from distilroberta.bench.claim.models import BASE, DISTIL, FILL_MASK
from distilroberta.bench.claim.reason import Subjects
from distilroberta.bench.claim.verdict import cell, overall
from distilroberta.bench.harness.interleave import Plan
from distilroberta.bench.harness.ratio_interval import Ratio
from distilroberta.bench.harness.suite import Comparison, EngineResult, EngineSpec
from distilroberta.bench.harness.worker import Loaded
from distilroberta.bench.harness.workload import Workload
from distilroberta.bench.limit.work import Work

ROUNDS = 9
SHORT = Workload("4 tokens", ("a <mask>",), ((0, 5, 6, 2),), (2,))
LONG = Workload("2 x 4 tokens", ("a <mask>",) * 2, ((0, 5, 6, 2),) * 2, (2, 2))


def comparison(
    distil: dict[str, float],
    base: dict[str, float],
    *,
    noise: float = 0.001,
    rounds: int = ROUNDS,
    failed: dict[str, str] | None = None,
) -> Comparison:
    """Both models with so many milliseconds for each workload, give or take some noise."""
    random = np.random.default_rng(0)

    def result(name: str, times: dict[str, float], why: dict[str, str]) -> EngineResult:
        taken = {
            workload: list(time * random.normal(1, noise, rounds))
            for workload, time in times.items()
            if workload not in why
        }
        spec = EngineSpec(name, "module:class", {}, 1)
        return EngineResult(spec, Loaded(1, None), None, 1.0, None, taken, failed=why)

    engines = (result(DISTIL, distil, {}), result(BASE, base, failed or {}))
    workloads = tuple(one for one in (SHORT, LONG) if one.name in distil)
    return Comparison(workloads, Plan(rounds=ROUNDS), engines)


def subjects(task: str = "text-classification", **works: tuple[Work, Work]) -> Subjects:
    return Subjects(task, (6, 12), works)


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [
        (1.95, 2.05, "twice as fast"),
        (1.9, 1.99, "twice as fast"),
        (2.3, 2.5, "twice as fast"),
        (1.85, 1.95, "unclear"),
        (1.5, 1.89, "faster, not twice"),
        (0.98, 1.01, "no difference"),
        (1.0, 1.89, "no difference"),
        (0.9, 1.9, "unclear"),
        (0.9, 2.4, "unclear"),
        (1.01, 1.89, "faster, not twice"),
        (0.5, 0.9, "slower"),
    ],
)
def test_what_an_interval_says(low: float, high: float, says: str) -> None:
    assert claim_verdict.of(Ratio((low + high) / 2, low, high, 5)) == says
    assert claim_verdict.of(Ratio((low + high) / 2, low, high, 4)) == "unclear"


def test_too_few_rounds_show_nothing() -> None:
    works = {"4 tokens": (Work(0, 60, 7), Work(0, 120, 9))}
    few = comparison({"4 tokens": 5}, {"4 tokens": 10}, rounds=1)
    found = cell(few, SHORT, subjects(**works))
    assert (found.verdict, found.reason) == ("unclear", "too few rounds to tell")
    assert found.warning is not None
    assert "too few" in found.warning
    assert overall(few, [found]).verdict == "unclear"


def test_a_cell_that_is_twice_as_fast_needs_no_reason() -> None:
    found = cell(comparison({"4 tokens": 5}, {"4 tokens": 10}), SHORT, subjects())
    assert found.ratio is not None
    assert found.ratio.estimate == pytest.approx(2, rel=0.002)
    assert (found.verdict, found.reason, found.warning) == ("twice as fast", None, None)
    assert (found.workload, found.rows, found.tokens) == ("4 tokens", 1, 4)


def test_a_head_that_both_have_is_the_reason_of_a_lower_ratio() -> None:
    # Layers of 10 each and a head of 60: 120 and 180. In time as in operations.
    works = {"4 tokens": (Work(100, 20, 7), Work(160, 20, 9))}
    measured = comparison({"4 tokens": 12}, {"4 tokens": 18})
    found = cell(measured, SHORT, Subjects(FILL_MASK, (6, 12), works))
    assert found.verdict == "faster, not twice"
    assert found.expected == pytest.approx(1.5)
    assert found.reason is not None
    assert "language-model head is the same in both and 50% of" in found.reason
    assert "leaves 1.50 times" in found.reason
    assert "about 6.0" in found.reason
    assert "of its 12.0 ms" in found.reason


def test_a_call_that_costs_whatever_it_computes_is_the_reason_where_operations_are_not() -> None:
    works = {"4 tokens": (Work(0, 60, 7), Work(0, 120, 9))}
    measured = comparison({"4 tokens": 7}, {"4 tokens": 13}, noise=0)
    found = cell(measured, SHORT, subjects(**works))
    assert found.expected == 2
    assert found.reason == "about 1.00 of its 7.00 ms go to what takes as long in both models"


def test_other_numbers_of_layers() -> None:
    # Layers of 2 each and 12 beside them: 2 layers take 16, 8 take 28.
    odd = Subjects("text-classification", (2, 8), {})
    found = cell(comparison({"4 tokens": 16}, {"4 tokens": 28}, noise=0), SHORT, odd)
    assert found.reason == "about 12.0 of its 16.0 ms go to what takes as long in both models"
    alike = Subjects("text-classification", (6, 6), {})
    same = cell(comparison({"4 tokens": 10}, {"4 tokens": 10}, noise=0.01), SHORT, alike)
    assert same.verdict == "no difference"
    assert same.reason == "neither operations nor times tell why"
    wide = cell(comparison({"4 tokens": 10}, {"4 tokens": 19}, noise=0.1), SHORT, alike)
    assert (wide.verdict, wide.reason) == ("unclear", "the interval is too wide to tell")


@pytest.mark.parametrize(("width", "is_said"), [(0.0, True), (0.02, True), (0.1, False)])
def test_time_in_what_is_alike_is_said_only_where_it_is_more_than_noise(
    width: float, is_said: bool
) -> None:
    # 2 d - b is 0.03 ms, its quartiles are as far apart as the width.
    distil, base = [5.0] * ROUNDS, list(9.97 + np.linspace(-width, width, ROUNDS))
    said = reason.of(distil, base, None, subjects())
    assert said == (
        "about 0.03 of its 5.00 ms go to what takes as long in both models" if is_said else None
    )
    assert reason.of(distil[:4], base[:4], None, subjects()) is None


def test_a_cell_that_failed_says_why_and_the_others_count() -> None:
    measured = comparison(
        {"4 tokens": 5, "2 x 4 tokens": 8},
        {"4 tokens": 10, "2 x 4 tokens": 16},
        failed={"2 x 4 tokens": "its process ended with code -9"},
    )
    cells = [cell(measured, workload, subjects()) for workload in (SHORT, LONG)]
    assert (cells[1].ratio, cells[1].verdict) == (None, "not measured")
    assert cells[1].reason == "roberta-base: its process ended with code -9"
    whole = overall(measured, cells)
    assert whole.ratio is not None
    assert whole.ratio.estimate == pytest.approx(2, rel=0.002)
    assert whole.verdict == "twice as fast"
    assert whole.reason == (
        "1 of 2 cells were not measured, the first is 2 x 4 tokens: roberta-base: its process "
        "ended with code -9"
    )
    assert (whole.measured, whole.cells) == (1, 2)


def test_over_all_cells_the_mean_is_geometric_and_the_lowest_is_named() -> None:
    measured = comparison({"4 tokens": 8, "2 x 4 tokens": 2}, {"4 tokens": 8, "2 x 4 tokens": 8})
    cells = [cell(measured, workload, subjects()) for workload in (SHORT, LONG)]
    whole = overall(measured, cells)
    assert whole.ratio is not None
    assert whole.ratio.estimate == pytest.approx(2, rel=0.005)  # of 1 and 4
    assert whole.verdict == "twice as fast"
    assert whole.reason is not None
    assert whole.reason.startswith(
        "1 of 2 cells are not shown to be twice as fast; the lowest is 4"
    )


def test_nothing_measured_is_said() -> None:
    measured = comparison({"4 tokens": 5}, {"4 tokens": 10}, failed={"4 tokens": "it died"})
    whole = overall(measured, [cell(measured, SHORT, subjects())])
    assert (whole.ratio, whole.verdict) == (None, "not measured")
    assert whole.reason == "no cell was measured; 4 tokens: roberta-base: it died"
    assert (whole.measured, whole.cells) == (0, 1)


def test_an_interval_wider_than_the_difference_is_warned_of() -> None:
    wide = cell(comparison({"4 tokens": 5}, {"4 tokens": 5.5}, noise=0.2), SHORT, subjects())
    assert wide.warning is not None
    assert "the difference it is to show" in wide.warning
