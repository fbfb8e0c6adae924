"""Agreement of rankings against SciPy and loops over depths."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from common.errors import RelevanceError
from evaluation.analyses.rank_agreement import overlap, rank_agreement, rank_biased_overlap


def naive_overlap(first: list[int], second: list[int], p: float) -> float:
    """Rank-biased overlap by the sets of every depth."""
    n = len(first)
    shares = [len({*first[:d]} & {*second[:d]}) / d for d in range(1, n + 1)]
    return shares[-1] * p**n + (1 - p) / p * sum(share * p**d for d, share in enumerate(shares, 1))


@given(st.permutations(range(9)), st.permutations(range(9)), st.floats(0.05, 0.99))
def test_rank_biased_overlap_is_that_of_all_depths(first: list[int], second: list[int], p: float) -> None:
    found = rank_biased_overlap(np.array(first), np.array(second), p)
    assert found == pytest.approx(naive_overlap(first, second, p))
    assert 0 <= found <= 1 + 1e-12
    assert found == pytest.approx(rank_biased_overlap(np.array(second), np.array(first), p))


def test_equal_rankings_agree_fully_and_opposite_ones_least() -> None:
    scores = np.random.default_rng(0).random((4, 12))
    same = rank_agreement(scores, 3 * scores + 1)
    assert all(values.tolist() == pytest.approx([1.0] * 4) for values in same.values())
    opposite = rank_agreement(scores, -scores, k=6)
    for name in ("spearman", "kendall_tau_b"):
        assert opposite[name].tolist() == pytest.approx([-1.0] * 4)
    assert opposite["overlap@6"].tolist() == [0.0] * 4


def test_correlations_are_scipys_with_ties_and_without_an_order_0() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.integers(0, 4, (2, 5, 20)).astype(float)
    second[2] = 1.0  # all tie
    found = rank_agreement(first, second)
    for row in (0, 1, 3, 4):
        assert found["spearman"][row] == pytest.approx(stats.spearmanr(first[row], second[row]).statistic)
        assert found["kendall_tau_b"][row] == pytest.approx(stats.kendalltau(first[row], second[row]).statistic)
    assert found["spearman"][2] == found["kendall_tau_b"][2] == 0


def test_items_that_tie_stand_in_the_order_of_their_index() -> None:
    scores = np.zeros((1, 5))
    assert rank_agreement(scores, scores, k=2)["overlap@2"].tolist() == [1.0]
    assert overlap(np.array([0, 1, 2]), np.array([2, 1, 0]), 2) == 0.5
    assert overlap(np.array([0, 1]), np.array([1, 0]), 10) == 1.0


@pytest.mark.parametrize(
    ("first", "second", "k", "cause"),
    [
        (np.zeros((2, 3)), np.zeros((2, 4)), 10, "give both as"),
        (np.zeros((2, 1)), np.zeros((2, 1)), 10, "two items or more"),
        (np.full((1, 3), np.nan), np.zeros((1, 3)), 10, "NaN"),
        (np.zeros((1, 3)), np.zeros((1, 3)), 0, "at least 1"),
    ],
)
def test_what_cannot_be_compared_is_refused(first: np.ndarray, second: np.ndarray, k: int, cause: str) -> None:
    with pytest.raises(RelevanceError, match=cause):
        rank_agreement(first, second, k)


def test_other_items_or_another_p_are_refused() -> None:
    with pytest.raises(RelevanceError, match="different items"):
        rank_biased_overlap(np.array([0, 1]), np.array([0, 2]))
    with pytest.raises(RelevanceError, match="between 0 and 1"):
        rank_biased_overlap(np.array([0, 1]), np.array([1, 0]), 1.0)
