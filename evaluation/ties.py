"""Groups of tied items, from which every metric is computed at its expected value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.errors import RelevanceError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TieGroups:
    """G groups of tied relevant items of Q queries, sorted by query, then by place. All arrays are int64.

    Attributes:
        query: (G,) from 0 to Q-1, each at least once.
        above: (G,) items that score higher than the group.
        size: (G,) items in the group, relevant or not.
        relevant: (G,) relevant items in the group.
        found: (G,) relevant items of the query above the group.
        total: (Q,) relevant items of each query.
    """

    query: Ints
    above: Ints
    size: Ints
    relevant: Ints
    found: Ints
    total: Ints

    def within(self, k: int) -> Ints:
        """How many of each group's places (G,) are among the first k."""
        if k < 1:
            raise RelevanceError(f"the cut-off k is {k}: give at least 1")
        places: Ints = np.clip(k - self.above, 0, self.size)
        return places

    def sum(self, values: Floats, where: npt.NDArray[np.bool_] | slice = slice(None)) -> Floats:
        """The sum of values, one for each group in `where`, by query: (Q,)."""
        return np.bincount(self.query[where], values, minlength=len(self.total)).astype(np.float64, copy=False)


def tie_groups(query: Ints, greater: Ints, equal: Ints) -> TieGroups:
    """Group P relevant items, in any order, by query and score.

    Args:
        query: (P,) int64, queries numbered from 0 without gaps.
        greater: (P,) int64, items that score higher.
        equal: (P,) int64, items that score the same, itself included.

    Raises:
        RelevanceError: a query number missing, or counts that contradict each other.

    >>> tie_groups(np.array([0, 0, 0]), np.array([2, 0, 2]), np.array([4, 1, 4])).relevant
    array([1, 2])
    """
    order = np.lexsort((greater, query))
    query, greater, equal = query[order], greater[order], equal[order]
    total = np.bincount(query)
    if not total.all():
        raise RelevanceError(f"query {int(total.argmin())} has no relevant item: number queries from 0 without gaps")
    new = np.ones(len(query), dtype=bool)
    new[1:] = (query[1:] != query[:-1]) | (greater[1:] != greater[:-1])
    starts = np.flatnonzero(new)
    relevant = np.diff(starts, append=len(query))
    size = equal[starts]
    if (greater < 0).any() or (equal != np.repeat(size, relevant)).any() or (size < relevant).any():
        raise RelevanceError("counts contradict each other: give `greater` and `equal` of one and the same scoring")
    found = starts - (np.cumsum(total) - total)[query[starts]]
    return TieGroups(query[starts], greater[starts], size, relevant, found, total)


def chance_groups(pool_size: int, total: Ints) -> TieGroups:
    """What a constant scorer makes of a pool of items: all tie. `total` (Q,) int64: relevant items of each query."""
    if total.min() < 1 or total.max() > pool_size:
        raise RelevanceError(
            f"{int(total.min())} to {int(total.max())} relevant items: give 1 to the pool's {pool_size}"
        )
    none = np.zeros_like(total)
    return TieGroups(np.arange(len(total)), none, np.full_like(total, pool_size), total, none, total)
