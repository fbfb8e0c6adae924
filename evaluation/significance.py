"""Is one method better than another on the same queries? Paired tests, Holm's correction, and the variance of seeds.

Xie et al. 2024 test over all queries, as if they were independent. The five captions of a recording are not: a method
that embeds a recording better ranks it better for all five. So every test here also works on the means of each
recording's captions (`cluster_means`), and only that one keeps false positives at 5 %: for the weights that were
evaluated. Two sets of seeds of one method differ significantly far more often than that. What other seeds might give is
estimated by `uncertainty`.

All values are float64. Everywhere NaN, inf, unequal lengths and fewer than two values are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from common.errors import RelevanceError

Floats = npt.NDArray[np.float64]
Values = npt.ArrayLike

BLOCK_ELEMENTS = 2**20  # signs held at once: 8 MiB as float64
ROUNDING = 1e-12  # sums closer than this, relative to the sum of absolute values, are the same


@dataclass(frozen=True)
class TTest:
    """A t-test of a difference, two-sided.

    Attributes:
        difference: between the means, in the values' unit.
        t, df: the statistic and its degrees of freedom. Where nothing varies t is 0 with p = 1 if the difference is 0,
            else infinite with p = 0.
        p: two-sided.
        interval: of the difference, 95 %.
    """

    difference: float
    t: float
    df: float
    p: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class PairedTTest(TTest):
    """A paired t-test.

    Attributes:
        effect_size: Cohen's d_z, the mean difference over the standard deviation of the differences: t / sqrt(n).
    """

    effect_size: float


@dataclass(frozen=True)
class Uncertainty:
    """How much the difference of two methods' means varies with seeds and with queries.

    Attributes:
        sd_a, sd_b: sample standard deviation of the seeds' means; NaN with one seed.
        se_seeds: standard error of the difference from the seeds; NaN where a method has one seed.
        se_queries: from the choice of recordings, of differences averaged over seeds (so a part of
            the seeds' noise, divided by their number, is included).
        welch: Welch's t-test over the seeds' means, which takes the queries as given; None where a method has one seed.
    """

    sd_a: float
    sd_b: float
    se_seeds: float
    se_queries: float
    welch: TTest | None


def paired_t_test(a: Values, b: Values) -> PairedTTest:
    """Student's paired t-test of mean(a) - mean(b) over n values each, (n,): scores of the same queries.

    Raises:
        RelevanceError: unequal lengths, fewer than two values, NaN or inf.

    >>> test = paired_t_test([0.5, 1.0, 0.5, 0.2], [0.5, 0.5, 0.25, 0.25])
    >>> f"t({test.df:.0f}) = {test.t:.3f}, p = {test.p:.3f}, d_z = {test.effect_size:.3f}"
    't(3) = 1.382, p = 0.261, d_z = 0.691'
    """
    differences = _difference(a, b)
    mean, error = float(differences.mean()), _standard_error(differences)
    result = _t_test(mean, error, len(differences) - 1)
    return PairedTTest(**vars(result), effect_size=result.t / float(np.sqrt(len(differences))))


def welch_t_test(a: Values, b: Values) -> TTest:
    """Welch's t-test of mean(a) - mean(b) between independent values (n,) and (m,) of unequal variance (Welch 1947).

    Raises:
        RelevanceError: fewer than two values, NaN or inf.
    """
    a, b = _checked(a), _checked(b)
    parts = np.array([_standard_error(a), _standard_error(b)]) ** 2
    counts = np.array([len(a), len(b)])
    squares = float((parts**2 / (counts - 1)).sum())
    df = float(parts.sum()) ** 2 / squares if squares else float(counts.sum() - 2)
    return _t_test(float(a.mean() - b.mean()), float(np.sqrt(parts.sum())), df)


def cluster_means(values: Values, clusters: npt.ArrayLike) -> Floats:
    """Means (..., C) of the values (..., Q) that share a cluster (Q,), by ascending cluster: captions of one recording.

    Raises:
        RelevanceError: unequal lengths.

    >>> cluster_means([1.0, 0.0, 0.2], [7, 3, 7])
    array([0. , 0.6])
    """
    values, clusters = np.asarray(values, dtype=np.float64), np.asarray(clusters)
    if values.shape[-1:] != clusters.shape:
        raise RelevanceError(f"{values.shape[-1]} values and {clusters.size} cluster ids: give one id for each value")
    order = np.argsort(clusters, kind="stable")
    _, starts, counts = np.unique(clusters[order], return_index=True, return_counts=True)
    return np.asarray(np.add.reduceat(values[..., order], starts, axis=-1) / counts, dtype=np.float64)


def sign_flip_test(differences: Values, permutations: int = 10_000, seed: int = 0) -> float:
    """Two-sided p-value of the mean of n differences (n,), if each sign were random.

    It is the permutation test for pairs (Smucker, Allan & Carterette 2007, "A comparison of statistical significance
    tests for information retrieval evaluation"). The signs are drawn at random, in blocks, and p = (b + 1) /
    (permutations + 1), b of them giving a mean as far from 0 as the one seen (Phipson & Smyth 2010: a permutation
    p-value is never 0). All signs are tried instead, and p = b / 2^m, where the m differences that are not 0 allow no
    more than `permutations`. p = 1 where all differences are 0.

    Raises:
        RelevanceError: fewer than two values, NaN or inf, or no permutations.

    >>> sign_flip_test([0.1, 0.2, 0.3])  # of eight sums, 0.6 and -0.6 are as far from 0
    0.25
    """
    values = _checked(differences)
    if permutations < 1:
        raise RelevanceError(f"{permutations} permutations: give at least 1")
    values = values[values != 0]  # their sign changes nothing
    count, total = len(values), float(values.sum())
    exact = 2**count <= permutations
    draws = 2**count if exact else permutations
    threshold = abs(total) - ROUNDING * float(np.abs(values).sum())
    generator = np.random.default_rng(seed)
    rows = max(1, BLOCK_ELEMENTS // max(1, count))
    reached = 0
    for start in range(0, draws, rows):
        numbers = np.arange(start, min(start + rows, draws))
        if exact:
            flipped = (numbers[:, None] >> np.arange(count) & 1).astype(np.float64)  # (rows, m), the bits of a number
        else:
            flipped = generator.integers(0, 2, (len(numbers), count), dtype=np.bool_).astype(np.float64)
        reached += int((np.abs(total - 2 * (flipped @ values)) >= threshold).sum())
    return reached / draws if exact else (reached + 1) / (draws + 1)


def holm(p_values: Sequence[float] | Floats) -> Floats:
    """p-values (m,) corrected for testing m times (Holm 1979), in the order given: the k-th smallest times m + 1 - k.

    Raises:
        RelevanceError: NaN, or values outside of [0, 1].

    >>> holm([0.01, 0.04, 0.03])
    array([0.03, 0.06, 0.06])
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise RelevanceError("p-values hold NaN or lie outside of [0, 1]: give a list of p-values")
    order = np.argsort(p, kind="stable")
    factors = np.arange(len(p), 0, -1)
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1)
    return corrected


def uncertainty(a: Values, b: Values, clusters: npt.ArrayLike) -> Uncertainty:
    """The uncertainty of mean(a) - mean(b): how much comes from seeds, and how much from queries.

    Args:
        a, b: (S, Q) and (S', Q), scores of each seed's run for the same queries.
        clusters: (Q,) recording of each query.

    Raises:
        RelevanceError: other shapes, fewer than two recordings, NaN or inf.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or not (len(a) and len(b)):
        raise RelevanceError(f"scores {a.shape} and {b.shape}: give both as (seeds, queries) for the same queries")
    difference = _checked(cluster_means(a.mean(axis=0) - b.mean(axis=0), clusters))
    # Means of recordings, not of queries, so that seeds and interval are about the same quantity.
    means = [cluster_means(scores, clusters).mean(axis=1) for scores in (a, b)]
    sd_a, sd_b = (float(np.std(seeds, ddof=1)) if len(seeds) > 1 else float("nan") for seeds in means)
    return Uncertainty(
        sd_a,
        sd_b,
        se_seeds=float(np.sqrt(sd_a**2 / len(a) + sd_b**2 / len(b))),
        se_queries=_standard_error(difference),
        welch=welch_t_test(*means) if min(len(a), len(b)) > 1 else None,
    )


def _t_test(difference: float, error: float, df: float) -> TTest:
    if error:
        t = difference / error
    elif difference:
        t = float(np.copysign(np.inf, difference))
    else:
        t = 0.0
    p = float(2 * stats.t.sf(abs(t), df))
    half = float(stats.t.ppf(0.975, df)) * error
    return TTest(difference, t, df, p, (difference - half, difference + half))


def _standard_error(values: Floats) -> float:
    """Of the mean of (n,); exactly 0 where all values are the same, which rounding would hide."""
    if not np.ptp(values):
        return 0.0
    return float(np.std(values, ddof=1) / np.sqrt(len(values)))


def _difference(a: Values, b: Values) -> Floats:
    a, b = _checked(a), _checked(b)
    if a.shape != b.shape:
        raise RelevanceError(f"scores {a.shape} and {b.shape}: give both for the same queries")
    return a - b


def _checked(values: Values) -> Floats:
    checked = np.asarray(values, dtype=np.float64)
    if checked.ndim != 1:
        raise RelevanceError(f"scores {checked.shape}: give one for each query, (queries,)")
    if len(checked) < 2:
        raise RelevanceError(f"{len(checked)} of at least 2 values: nothing can be tested on so few queries or seeds")
    if not np.isfinite(checked).all():
        raise RelevanceError(f"{int((~np.isfinite(checked)).sum())} scores are NaN or inf: leave those queries out")
    return checked
