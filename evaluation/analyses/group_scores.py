"""Means of groups of queries with intervals that know that the captions of one recording belong together."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from common.errors import RelevanceError

Floats = npt.NDArray[np.float64]

FEWEST = 10
"""Recordings for an interval: with fewer it would say nothing."""


@dataclass(frozen=True)
class GroupMean:
    """A mean over queries.

    Attributes:
        mean: over the queries that have a value; NaN where none has.
        low, high: its 95 % interval; NaN with fewer than `FEWEST` recordings.
        p: two-sided, of a mean of 0 (for differences); NaN as the interval, 1 where all values are 0.
        queries: with a value.
        recordings: that they describe.
    """

    mean: float
    low: float
    high: float
    p: float
    queries: int
    recordings: int


def group_mean(values: Floats, clusters: npt.ArrayLike) -> GroupMean:
    """The mean of values (n,) of queries, of which those that share a cluster (n,) are not independent.

    The variance of the mean m is C / (C - 1) * sum_c (sum of (y_i - m) over i in c)^2 / n^2 over the C clusters, and
    the interval Student's with C - 1 degrees of freedom. With one query a cluster this is the usual interval of a mean.
    Queries without a value (NaN) are left out.

    Raises:
        RelevanceError: unequal lengths.

    Source: Liang & Zeger 1986, "Longitudinal data analysis using generalized linear models" (the robust variance, for a
    mean).

    >>> result = group_mean(np.arange(20) / 20, np.arange(20) // 2)
    >>> f"{result.mean:.3f}, {result.low:.3f} to {result.high:.3f}", result.queries, result.recordings
    ('0.475, 0.258 to 0.692', 20, 10)
    """
    clusters = np.asarray(clusters)
    if values.ndim != 1 or values.shape != clusters.shape:
        raise RelevanceError(f"values {values.shape} and clusters {clusters.shape}: give one recording for each query")
    known = ~np.isnan(values)
    values, inverse = values[known], np.unique(clusters[known], return_inverse=True)[1]
    n, count = len(values), int(inverse.max(initial=-1)) + 1
    mean = float(values.mean()) if n else float("nan")
    if count < FEWEST:
        nan = float("nan")
        return GroupMean(mean, nan, nan, nan, n, count)
    sums = np.bincount(inverse, weights=values - mean)
    error = float(np.sqrt(count / (count - 1) * (sums**2).sum())) / n if np.ptp(values) else 0.0
    half = float(stats.t.ppf(0.975, count - 1)) * error
    without_error = 0.0 if mean else 1.0
    p = float(2 * stats.t.sf(abs(mean) / error, count - 1)) if error else without_error
    return GroupMean(mean, mean - half, mean + half, p, n, count)
