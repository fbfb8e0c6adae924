"""Agreement of two rankings of the same items: of a query and its translation, or of two models."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import stats

from common.errors import RelevanceError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

PERSISTENCE = 0.9
"""p of rank-biased overlap: the first ten places then have 86 % of the weight."""


def rank_agreement(first: Floats, second: Floats, k: int = 10) -> dict[str, Floats]:
    """How well two scorings of the same N items agree for each of Q queries, (Q,) float64 each.

    `spearman` and `kendall_tau_b` are of all items, and 0 where a scoring ties all. `overlap@k` is the share of the k
    best items that both have, `rbo` the rank-biased overlap, which weighs the first places most. In these two, of items
    that tie the one with the smaller index comes first.

    Args:
        first, second: (Q, N); the largest ranks first.
        k: the cut-off of the overlap; N at most is used.

    Raises:
        RelevanceError: other shapes, fewer than two items, NaN or infinity, k below 1.

    >>> found = rank_agreement(np.array([[3.0, 2.0, 1.0]]), np.array([[3.0, 1.0, 2.0]]), k=2)
    >>> {name: round(float(values[0]), 3) for name, values in found.items()}
    {'spearman': 0.5, 'kendall_tau_b': 0.333, 'overlap@2': 0.5, 'rbo': 0.955}
    """
    if first.ndim != 2 or first.shape != second.shape or first.shape[1] < 2 or not len(first):
        raise RelevanceError(f"scores {first.shape} and {second.shape}: give both as (Q, N), of two items or more")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise RelevanceError("scores hold NaN or infinity: look for a diverged model")
    if k < 1:
        raise RelevanceError(f"the cut-off k is {k}: give at least 1")
    orders = [np.argsort(-scores, axis=1, kind="stable") for scores in (first, second)]  # (Q, N) each, best first
    pairs = list(zip(*orders, strict=True))
    return {
        "spearman": _correlations(stats.spearmanr, first, second),
        "kendall_tau_b": _correlations(stats.kendalltau, first, second),
        f"overlap@{k}": np.array([overlap(a, b, k) for a, b in pairs]),
        "rbo": np.array([rank_biased_overlap(a, b) for a, b in pairs]),
    }


def overlap(first: Ints, second: Ints, k: int) -> float:
    """The share of the first k items of two rankings (N,) that are in both."""
    k = min(k, len(first))
    return len(np.intersect1d(first[:k], second[:k])) / k


def rank_biased_overlap(first: Ints, second: Ints, p: float = PERSISTENCE) -> float:
    """Rank-biased overlap of two rankings (N,) of the same items, extrapolated beyond N: 1 where they are equal.

    With A_d the share of the first d items that are in both: A_N p^N + (1 - p) / p * sum_d A_d p^d.

    Args:
        first, second: N items, best first.
        p: in (0, 1), the chance that a reader goes from a place to the next. Near 0 only the first item counts; near 1
            all places count the same.

    Raises:
        RelevanceError: p out of range, or rankings that do not hold the same items.

    Source: Webber, Moffat & Zobel 2010, "A similarity measure for indefinite rankings", eq. 30.
    """
    if not 0 < p < 1:
        raise RelevanceError(f"p of rank-biased overlap is {p}: give a number between 0 and 1")
    if len(first) != len(second) or not np.array_equal(np.sort(first), np.sort(second)) or not len(first):
        raise RelevanceError("two rankings hold different items: give rankings of the same items")
    place = {item: d for d, item in enumerate(second.tolist(), 1)}
    enters = np.maximum(
        np.arange(1, len(first) + 1), [place[item] for item in first.tolist()]
    )  # depth of both having it
    depth = np.arange(1, len(first) + 1)
    shares = np.bincount(enters, minlength=len(first) + 1)[1:].cumsum() / depth
    return float(shares[-1] * p ** len(first) + (1 - p) / p * (shares * p**depth).sum())


def _correlations(correlate: Callable[..., object], first: Floats, second: Floats) -> Floats:
    """Of each row; 0 where either is constant, since no order was given."""
    ordered = (np.ptp(first, axis=1) > 0) & (np.ptp(second, axis=1) > 0)
    values = np.zeros(len(first))
    for row in np.flatnonzero(ordered):
        values[row] = correlate(first[row], second[row]).statistic  # type: ignore[attr-defined]
    return values
