"""Hubness against loops and SciPy's distributions."""

import numpy as np
import pytest
from scipy import stats

from common.errors import RelevanceError
from evaluation.analyses.hubness import hubness, k_occurrence, random_hubness


def test_occurrences_and_skewness_are_those_of_loops() -> None:
    rng = np.random.default_rng(0)
    best = np.array([rng.choice(30, 10, replace=False, p=np.arange(1, 31) / 465) for _ in range(200)])
    found = k_occurrence(best, 30)
    counted = [sum(item in row for row in best.tolist()) for item in range(30)]
    assert found.tolist() == counted
    mean = sum(counted) / 30
    third = sum((x - mean) ** 3 for x in counted) / 30
    spread = (sum((x - mean) ** 2 for x in counted) / 30) ** 0.5
    result = hubness(found)
    assert result.skewness == pytest.approx(third / spread**3)
    assert (result.largest, result.largest_item) == (max(counted), counted.index(max(counted)))
    assert result.never == counted.count(0) / 30


def test_a_hub_and_items_that_are_never_found() -> None:
    found = hubness(k_occurrence(np.zeros((5, 1), dtype=np.int64), 4))
    assert (found.never, found.largest, found.largest_item) == (0.75, 5, 0)
    assert found.skewness == pytest.approx(2 / 3**0.5)


def test_equal_occurrences_have_no_skewness() -> None:
    assert hubness(np.full(7, 3)).skewness == 0


def test_a_random_ranking_is_binomial() -> None:
    skewness, never = random_hubness(40, 25, 10)
    assert skewness == pytest.approx(float(stats.binom(40, 0.4).stats("s")))
    assert never == pytest.approx(stats.binom(40, 0.4).pmf(0))
    assert random_hubness(40, 5, 10) == (0.0, 0.0)  # all are found


def test_an_item_out_of_range_is_refused() -> None:
    with pytest.raises(RelevanceError, match="of 3 items"):
        k_occurrence(np.array([[0, 3]]), 3)
