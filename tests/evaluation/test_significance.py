"""Paired tests against SciPy, statsmodels and plain enumeration; and whether they keep what they promise."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from common.errors import RelevanceError
from evaluation import significance
from evaluation.significance import cluster_means, holm, paired_t_test, sign_flip_test, uncertainty, welch_t_test

scores = st.integers(0, 60).map(lambda n: n / 60)
pairs = st.lists(st.tuples(scores, scores), min_size=2, max_size=40)


# --------------------------------------------------------------------------------------------------- other programs


@pytest.mark.parametrize("count", [2, 3, 50, 5225])
def test_paired_t_test_is_scipys(count: int) -> None:
    rng = np.random.default_rng(count)
    a, b = rng.random(count), rng.random(count)
    ours, theirs = paired_t_test(a, b), stats.ttest_rel(a, b)
    interval = theirs.confidence_interval(0.95)
    assert ours.df == theirs.df == count - 1
    np.testing.assert_allclose(
        [ours.t, ours.p, *ours.interval], [theirs.statistic, theirs.pvalue, interval.low, interval.high], rtol=1e-12
    )
    np.testing.assert_allclose(ours.difference, a.mean() - b.mean(), rtol=1e-12)
    np.testing.assert_allclose(ours.effect_size, (a - b).mean() / (a - b).std(ddof=1), rtol=1e-12)


@pytest.mark.parametrize("counts", [(2, 2), (5, 5), (3, 7)])
def test_welch_is_scipys(counts: tuple[int, int]) -> None:
    rng = np.random.default_rng(sum(counts))
    a, b = rng.normal(0.3, 0.01, counts[0]), rng.normal(0.31, 0.05, counts[1])
    ours, theirs = welch_t_test(a, b), stats.ttest_ind(a, b, equal_var=False)
    interval = theirs.confidence_interval(0.95)
    np.testing.assert_allclose(
        [ours.t, ours.df, ours.p, *ours.interval],
        [theirs.statistic, theirs.df, theirs.pvalue, interval.low, interval.high],
        rtol=1e-12,
    )


@pytest.mark.parametrize("count", [1, 2, 5, 12])
def test_holm_is_that_of_statsmodels(count: int) -> None:
    rng = np.random.default_rng(count)
    p = np.concatenate([rng.random(count) ** 4, [0.01, 0.01, 0.0, 1.0][: count // 2]])  # in no order, some the same
    np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1], rtol=1e-12)


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_rejects_what_its_steps_reject(p: list[float]) -> None:
    """The smallest p is held against level / m, the next against level / (m - 1), until the first that fails."""
    level, rejected = 0.05, set()
    for step, i in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        if p[i] * (len(p) - step) > level:
            break
        rejected.add(i)
    assert set(np.flatnonzero(holm(p) <= level)) == rejected


@given(pairs.filter(lambda values: len(values) <= 9))
def test_few_differences_have_all_signs_tried(values: list[tuple[float, float]]) -> None:
    differences = [a - b for a, b in values]
    sums = [
        abs(sum(sign * d for sign, d in zip(signs, differences, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(differences))
    ]
    expected = np.mean(np.array(sums) >= abs(sum(differences)) - 1e-9)
    assert sign_flip_test(differences, permutations=512) == expected


def test_exact_signs_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random(10), rng.random(10)

    def mean_difference(x: Any, y: Any, axis: int) -> Any:
        return np.mean(x - y, axis=axis)

    theirs: Any = stats.permutation_test((a, b), mean_difference, permutation_type="samples", n_resamples=2**10)
    assert sign_flip_test(a - b, permutations=1024) == pytest.approx(theirs.pvalue, abs=1e-15)


def test_random_signs_come_close_to_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    differences = np.random.default_rng(1).normal(0.3, 1, 14)
    exact = sign_flip_test(differences, permutations=2**14)
    drawn = sign_flip_test(differences, permutations=2**14 - 1)
    assert abs(drawn - exact) < 4 * np.sqrt(exact * (1 - exact) / 2**14)
    assert drawn != exact
    monkeypatch.setattr(significance, "BLOCK_ELEMENTS", 14 * 100)  # many blocks, the last one shorter
    assert sign_flip_test(differences, permutations=2**14) == exact
    assert abs(sign_flip_test(differences, permutations=5_001) - exact) < 4 * np.sqrt(exact * (1 - exact) / 5_000)


def test_a_permutation_p_value_is_never_zero() -> None:
    assert sign_flip_test(np.ones(100), permutations=999) == 1 / 1000
    assert sign_flip_test(np.ones(100), permutations=999, seed=5) == 1 / 1000


# --------------------------------------------------------------------------------------------------------- properties


@given(pairs)
def test_swapping_the_methods_changes_the_sign_alone(values: list[tuple[float, float]]) -> None:
    a, b = np.array(values).T
    there, back = paired_t_test(a, b), paired_t_test(b, a)
    assert (there.t, there.p, there.difference, there.effect_size) == (
        -back.t,
        back.p,
        -back.difference,
        -back.effect_size,
    )
    assert there.interval == (-back.interval[1], -back.interval[0])
    assert sign_flip_test(a - b, 500) == sign_flip_test(b - a, 500)
    assert 0 < sign_flip_test(a - b, 500) <= 1


@given(pairs, st.randoms())
def test_the_order_of_queries_does_not_matter(values: list[tuple[float, float]], random) -> None:  # type: ignore[no-untyped-def]
    shuffled = random.sample(values, len(values))
    a, b = np.array(values).T
    c, d = np.array(shuffled).T
    first, second = paired_t_test(a, b), paired_t_test(c, d)
    np.testing.assert_allclose([first.difference, first.p], [second.difference, second.p], rtol=1e-7, atol=1e-12)
    if len(values) <= 8:
        assert sign_flip_test(a - b, 256) == sign_flip_test(c - d, 256)


@given(st.lists(st.tuples(scores, st.integers(-2, 3)), min_size=1, max_size=30))
def test_cluster_means_are_means_of_clusters(values: list[tuple[float, int]]) -> None:
    grouped: dict[int, list[float]] = {}
    for value, cluster in values:
        grouped.setdefault(cluster, []).append(value)
    expected = [sum(grouped[cluster]) / len(grouped[cluster]) for cluster in sorted(grouped)]
    columns, clusters = np.array(values).T
    np.testing.assert_allclose(cluster_means(columns, clusters), expected, atol=1e-12)
    stacked = cluster_means([columns, np.zeros(len(columns))], clusters)
    np.testing.assert_allclose(stacked, np.stack([expected, np.zeros(len(expected))]), atol=1e-12)


# -------------------------------------------------------------------------------------------------- what it promises


def share_below(p: list[float], level: float = 0.05) -> float:
    return float(np.mean(np.array(p) < level))


def test_p_values_are_uniform_where_there_is_no_effect() -> None:
    rng = np.random.default_rng(0)
    differences = rng.normal(0, 1, (1000, 30))
    t_test = [paired_t_test(d, np.zeros(30)).p for d in differences]
    flips = [sign_flip_test(d, 999, seed) for seed, d in enumerate(differences)]
    assert stats.kstest(t_test, "uniform").pvalue > 0.05
    assert stats.kstest(flips, "uniform").pvalue > 0.05


def test_only_means_of_recordings_keep_false_alarms_at_five_per_cent() -> None:
    """Five captions share what the method makes of their recording, and the per-query test takes that for agreement."""
    rng = np.random.default_rng(1)
    clips = np.repeat(np.arange(40), 5)
    per_query, per_clip = [], []
    for _ in range(1000):
        differences = rng.normal(0, 1, 40)[clips] + rng.normal(0, 1, 200)
        per_query.append(paired_t_test(differences, np.zeros(200)).p)
        per_clip.append(paired_t_test(cluster_means(differences, clips), np.zeros(40)).p)
    assert stats.kstest(per_clip, "uniform").pvalue > 0.05
    assert share_below(per_clip) == pytest.approx(0.05, abs=0.02)
    assert stats.kstest(per_query, "uniform").pvalue < 1e-6
    # The variance of the mean is (1 + 4/2) times what the test believes, with a correlation of 1/2 inside recordings.
    assert share_below(per_query) == pytest.approx(2 * stats.norm.sf(1.96 / np.sqrt(3)), abs=0.04)


def test_a_planted_effect_is_found_as_often_as_theory_says() -> None:
    count, effect = 120, 0.25
    rng = np.random.default_rng(2)
    beyond = stats.t.ppf(0.975, count - 1)
    noncentral = stats.nct(count - 1, effect * np.sqrt(count))
    power = noncentral.sf(beyond) + noncentral.cdf(-beyond)
    assert 0.7 < power < 0.85
    tests = [paired_t_test(d, np.zeros(count)) for d in rng.normal(effect, 1, (1000, count))]
    flips = [sign_flip_test(d, 499) for d in rng.normal(effect, 1, (300, count))]
    assert share_below([test.p for test in tests]) == pytest.approx(power, abs=0.04)
    assert share_below(flips) == pytest.approx(power, abs=0.07)
    assert np.mean([test.effect_size for test in tests]) == pytest.approx(effect, abs=0.01)
    covered = [test.interval[0] < effect < test.interval[1] for test in tests]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.02)


def test_the_doubt_is_divided_into_seeds_and_recordings() -> None:
    """Seeds that differ by a known amount, and recordings that differ by a known amount, each find their own place."""
    rng = np.random.default_rng(3)
    clips = np.repeat(np.arange(500), 5)
    found = []
    for _ in range(40):
        own = rng.normal(0, 0.3, 500)[clips]
        a = own + rng.normal(0.4, 0.02, (6, 1)) + np.zeros(len(clips))
        b = rng.normal(0.4, 0.01, (4, 1)) + np.zeros(len(clips))
        found.append(uncertainty(a, b, clips))
    assert np.sqrt(np.mean([one.sd_a**2 for one in found])) == pytest.approx(0.02, rel=0.15)
    assert np.sqrt(np.mean([one.sd_b**2 for one in found])) == pytest.approx(0.01, rel=0.2)
    seeds = np.sqrt(0.02**2 / 6 + 0.01**2 / 4)
    assert np.sqrt(np.mean([one.se_seeds**2 for one in found])) == pytest.approx(seeds, rel=0.15)
    assert np.mean([one.se_queries for one in found]) == pytest.approx(0.3 / np.sqrt(500), rel=0.03)
    assert all(one.welch is not None and one.welch.interval[0] < one.welch.difference for one in found)


def test_the_division_is_that_of_plain_formulas() -> None:
    rng = np.random.default_rng(4)
    a, b, clips = rng.random((3, 12)), rng.random((2, 12)), np.array([5, 5, 5, 2, 2, 2, 9, 9, 9, 1, 1, 1])
    one = uncertainty(a, b, clips)
    assert one.sd_a == pytest.approx(np.std(a.mean(axis=1), ddof=1))
    assert one.sd_b == pytest.approx(np.std(b.mean(axis=1), ddof=1))
    assert one.se_seeds == pytest.approx(np.sqrt(one.sd_a**2 / 3 + one.sd_b**2 / 2))
    by_clip = [(a.mean(axis=0) - b.mean(axis=0))[clips == clip].mean() for clip in (1, 2, 5, 9)]
    assert one.se_queries == pytest.approx(np.std(by_clip, ddof=1) / 2)
    theirs = stats.ttest_ind(a.mean(axis=1), b.mean(axis=1), equal_var=False)
    assert one.welch is not None
    assert (one.welch.t, one.welch.p) == pytest.approx((theirs.statistic, theirs.pvalue))


# ---------------------------------------------------------------------------------------------------------- the edges


def test_nothing_varies() -> None:
    same = paired_t_test([0.3, 0.5, 1.0], [0.3, 0.5, 1.0])
    assert (same.difference, same.t, same.p, same.interval, same.effect_size) == (0, 0, 1, (0, 0), 0)
    assert sign_flip_test([0.0, 0.0, 0.0]) == 1
    ahead = paired_t_test([0.0, 0.0, 0.0], [0.1, 0.1, 0.1])  # 0.1 + 0.1 + 0.1 is not 3 * 0.1 in floating point
    assert (ahead.t, ahead.p) == (-np.inf, 0)
    assert ahead.interval == (ahead.difference, ahead.difference)
    assert (welch_t_test([0.3, 0.3], [0.3, 0.3]).p, welch_t_test([0.4, 0.4], [0.3, 0.3]).t) == (1, np.inf)
    one_varies = welch_t_test([0.4, 0.5], [0.3, 0.3])
    assert one_varies.df == 1


def test_one_seed_leaves_the_seeds_open() -> None:
    rng = np.random.default_rng(5)
    one = uncertainty(rng.random((1, 6)), rng.random((3, 6)), [1, 1, 2, 2, 3, 3])
    assert np.isnan(one.sd_a)
    assert np.isnan(one.se_seeds)
    assert one.sd_b > 0
    assert one.se_queries > 0
    assert one.welch is None


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda: paired_t_test([0.1], [0.2]), "1 of at least 2 values"),
        (lambda: paired_t_test([], []), "0 of at least 2 values"),
        (lambda: paired_t_test([0.1, 0.2], [0.1, 0.2, 0.3]), r"scores \(2,\) and \(3,\): give both for the same"),
        (lambda: paired_t_test([0.1, np.nan], [0.1, 0.2]), "1 scores are NaN or inf: leave those queries out"),
        (lambda: paired_t_test([np.inf, np.inf], [np.inf, 0.2]), "2 scores are NaN or inf"),
        (lambda: paired_t_test(np.ones((2, 2)), np.ones((2, 2))), r"scores \(2, 2\): give one for each query"),
        (lambda: welch_t_test([0.1, 0.2], [0.3]), "1 of at least 2 values"),
        (lambda: sign_flip_test([0.1, np.nan]), "1 scores are NaN or inf"),
        (lambda: sign_flip_test([0.1]), "1 of at least 2 values"),
        (lambda: sign_flip_test([0.1, 0.2], permutations=0), "0 permutations: give at least 1"),
        (lambda: holm([0.1, np.nan]), "p-values hold NaN or lie outside"),
        (lambda: holm([0.1, 1.1]), "p-values hold NaN or lie outside"),
        (lambda: cluster_means([0.1, 0.2], [1]), "2 values and 1 cluster ids"),
        (lambda: uncertainty(np.ones((2, 3)), np.ones((2, 4)), [1, 2, 3]), r"scores \(2, 3\) and \(2, 4\)"),
        (lambda: uncertainty(np.ones((2, 3)), np.ones((2, 3)), [1, 1, 1]), "1 of at least 2 values"),
        (lambda: uncertainty(np.full((2, 3), np.nan), np.ones((2, 3)), [1, 2, 3]), "3 scores are NaN or inf"),
    ],
)
def test_what_cannot_be_tested_is_refused(mistake, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(RelevanceError, match=message) as caught:
        mistake()
    assert "\n" not in str(caught.value)
