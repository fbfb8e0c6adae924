"""Hubs: items that are among the best of many queries, while others are among the best of none."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from common.errors import RelevanceError

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Hubness:
    """How unevenly the places among the best k are spread over N items.

    Attributes:
        skewness: of the k-occurrences; 0 where all are equal, above 0 where few items are hubs.
        never: share of items that are among the best k of no query.
        largest: the most queries of which one item is among the best k.
        largest_item: index of that item.
    """

    skewness: float
    never: float
    largest: int
    largest_item: int


def k_occurrence(best: Ints, items: int) -> Ints:
    """Of how many queries each item is among the best k, (N,) int64.

    Args:
        best: (Q, k) indices of the best items.
        items: the number N.

    Raises:
        RelevanceError: an index out of range.

    Source: Radovanovic et al. 2010, "Hubs in space: popular nearest neighbors in high-dimensional data", JMLR.

    >>> k_occurrence(np.array([[0, 1], [0, 2]]), 4)
    array([2, 1, 1, 0])
    """
    if best.size and not (best.min() >= 0 and best.max() < items):
        raise RelevanceError(f"best items hold {best.min()} to {best.max()}, of {items} items: give indices of items")
    return np.bincount(best.ravel(), minlength=items).astype(np.int64)


def hubness(occurrences: Ints) -> Hubness:
    """What the k-occurrences (N,) say; the skewness is E[(x - mean)^3] / sd^3 (Radovanovic et al. 2010)."""
    item = int(occurrences.argmax())
    skewness = float(stats.skew(occurrences)) if np.ptp(occurrences) else 0.0
    return Hubness(skewness, float((occurrences == 0).mean()), int(occurrences[item]), item)


def random_hubness(queries: int, items: int, k: int) -> tuple[float, float]:
    """Skewness, and share of items that are never among the best k, where every query ranks at random.

    An item's k-occurrence is then binomial, with Q draws of probability k / N.

    >>> skewness, never = random_hubness(100, 50, 10)
    >>> f"{skewness:.2f}, {never:.1e}"
    '0.15, 2.0e-10'
    """
    p = min(k / items, 1.0)
    spread = np.sqrt(queries * p * (1 - p))
    return float((1 - 2 * p) / spread) if spread else 0.0, float((1 - p) ** queries)
