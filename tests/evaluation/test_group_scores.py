"""Means of groups with intervals over recordings."""

import numpy as np
import pytest
from scipy import stats

from common.errors import RelevanceError
from evaluation.analyses.group_scores import group_mean


def naive(values: np.ndarray, clusters: np.ndarray) -> tuple[float, float]:
    """Mean and standard error, by loops."""
    mean = sum(values) / len(values)
    total = 0.0
    kinds = sorted(set(clusters.tolist()))
    for kind in kinds:
        total += sum(value - mean for value, own in zip(values, clusters, strict=True) if own == kind) ** 2
    return mean, (len(kinds) / (len(kinds) - 1) * total) ** 0.5 / len(values)


def test_the_interval_is_that_of_a_loop() -> None:
    rng = np.random.default_rng(0)
    clusters = rng.integers(0, 14, 60) * 7
    values = rng.random(60) + clusters / 30
    mean, error = naive(values, clusters)
    found = group_mean(values, clusters)
    df = len(set(clusters.tolist())) - 1
    assert found.mean == pytest.approx(mean)
    assert (found.low, found.high) == pytest.approx(stats.t.interval(0.95, df, mean, error))
    assert found.p == pytest.approx(2 * stats.t.sf(mean / error, df))
    assert (found.queries, found.recordings) == (60, df + 1)


def test_with_one_query_a_recording_it_is_students_t() -> None:
    values = np.random.default_rng(1).normal(0.1, 1, 25)
    found = group_mean(values, np.arange(25))
    expected = stats.ttest_1samp(values, 0)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval()))


def test_equal_captions_of_a_recording_count_once() -> None:
    values = np.random.default_rng(2).random(12)
    once, five = group_mean(values, np.arange(12)), group_mean(np.repeat(values, 5), np.repeat(np.arange(12), 5))
    assert (once.low, once.high, once.p) == pytest.approx((five.low, five.high, five.p))


def test_queries_without_a_value_are_left_out() -> None:
    values, clusters = np.random.default_rng(3).random(24), np.arange(24) // 2
    values[[1, 6, 7]] = np.nan
    known = ~np.isnan(values)
    found, expected = group_mean(values, clusters), group_mean(values[known], clusters[known])
    assert found.recordings == 11
    assert found == expected


def test_few_recordings_have_no_interval() -> None:
    found = group_mean(np.array([0.5, 1.0, 0.0, 0.5]), np.arange(4))
    assert found.mean == 0.5
    assert np.isnan([found.low, found.high, found.p]).all()
    assert np.isnan(group_mean(np.full(3, np.nan), np.arange(3)).mean)


@pytest.mark.parametrize(("value", "p"), [(0.0, 1.0), (0.25, 0.0)])
def test_what_does_not_vary(value: float, p: float) -> None:
    found = group_mean(np.full(12, value), np.arange(12))
    assert (found.mean, found.low, found.high, found.p) == (value, value, value, p)


def test_other_lengths_are_refused() -> None:
    with pytest.raises(RelevanceError, match="one recording for each query"):
        group_mean(np.zeros(3), np.arange(4))
