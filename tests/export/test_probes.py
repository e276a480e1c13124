"""What is measured of a variant, on logits made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from distilroberta.export import ParityError
from distilroberta.export.probes import Probes, compare
from distilroberta.runtime import Artifact

Logits = NDArray[np.float64]


@pytest.fixture
def expected() -> Logits:
    """Four rows of five classes."""
    return np.random.default_rng(0).normal(size=(4, 5))


def test_equal_logits_agree_in_every_figure(expected: Logits) -> None:
    found = compare(expected, expected)
    assert (found.rows, found.largest_difference, found.same_top, found.kl) == (4, 0, 1, 0)
    assert found.cosine == pytest.approx(1)


def test_largest_difference_is_that_of_any_row(expected: Logits) -> None:
    found = expected.copy()
    found[2, 3] -= 0.25
    assert compare(found, expected).largest_difference == pytest.approx(0.25)


def test_same_top_is_the_share_of_rows(expected: Logits) -> None:
    found = expected.copy()
    found[1, expected[1].argmin()] = 10
    assert compare(found, expected).same_top == 0.75


def test_opposite_logits_have_cosine_minus_one(expected: Logits) -> None:
    assert compare(-expected, expected).cosine == pytest.approx(-1)


def test_shifted_rows_have_the_same_distribution(expected: Logits) -> None:
    assert compare(expected + 3, expected).kl == pytest.approx(0, abs=1e-12)


def test_divergence_is_the_mean_over_rows_and_takes_the_expected_side_first() -> None:
    # Rows (3/4, 1/4) and (1/2, 1/2) against (1/2, 1/2) twice:
    # 3/4 log(3/2) + 1/4 log(1/2) = 0.1308, and 0.
    expected = np.log([[0.75, 0.25], [0.5, 0.5]])
    found = np.log([[0.5, 0.5], [0.5, 0.5]])
    assert compare(found, expected).kl == pytest.approx(0.130812 / 2, abs=1e-6)
    assert compare(expected, found).kl == pytest.approx(0.143841 / 2, abs=1e-6)


def test_zero_logits_are_equal() -> None:
    assert compare(np.zeros((2, 3)), np.zeros((2, 3))).cosine == 1


def test_not_a_number_shows_in_the_cosine(expected: Logits) -> None:
    found = expected.copy()
    found[0, 0] = np.nan
    assert np.isnan(compare(found, expected).cosine)


def test_standard_graph_of_other_weights_is_refused(
    mini_artifact: Artifact, load_folder: Any, make_checkpoint: Any
) -> None:
    probes = Probes(load_folder(make_checkpoint("fill-mask", num_hidden_layers=1)))
    path = mini_artifact.path / mini_artifact.variant("int8").standard
    with pytest.raises(ParityError, match=r"model_quantized.onnx does not answer as PyTorch does"):
        probes.check_standard(path, "int8")
