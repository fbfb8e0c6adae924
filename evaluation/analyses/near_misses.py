"""Errors and their near misses: what stands at the top where the annotated item does not, and whether it is right."""

from dataclasses import dataclass
from math import comb

import numpy as np
import numpy.typing as npt

from common.errors import RelevanceError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NEAR = 3
"""Near misses that are looked at: the best items of an error."""


@dataclass(frozen=True)
class ShareRight:
    """How many errors are right after all, by what is known of items besides the annotated one.

    Attributes:
        errors: queries whose near misses have any known grade.
        best_known: of these, those whose best item has one.
        best: share of them whose best item is right.
        best_chance: the same for an item drawn at random among those with a grade, the annotated one left out.
        any: share of the errors with any right item among the near misses.
        any_chance: the same for as many items drawn at random.
    """

    errors: int
    best_known: int
    best: float
    best_chance: float
    any: float
    any_chance: float

    @property
    def shares(self) -> tuple[float, float, float, float]:
        """The last four."""
        return self.best, self.best_chance, self.any, self.any_chance


def share_right(grades: Floats, near: Ints, own: Ints, threshold: float = 0.5) -> ShareRight:
    """The share of E errors whose near misses are right.

    Args:
        grades: (E, N) of all items for each error; NaN: not known.
        near: (E, n) indices of its best items, best first, the annotated one not among them.
        own: (E,) the annotated item.
        threshold: from which on a grade means right.

    Raises:
        RelevanceError: shapes that do not fit, or an annotated item among the near misses.

    >>> grades = np.array([[1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]])
    >>> found = share_right(grades, np.array([[1, 2], [2, 3]]), np.array([0, 0]))
    >>> found.best, found.any, round(found.best_chance, 3), round(found.any_chance, 3)
    (0.5, 0.5, 0.167, 0.333)
    """
    if grades.ndim != 2 or near.ndim != 2 or not len(grades) == len(near) == len(own):
        raise RelevanceError(f"grades {grades.shape}, near {near.shape}, own {own.shape}: give a row for each error")
    if (near == own[:, None]).any():
        raise RelevanceError("an annotated item is among its query's near misses: give errors alone")
    rows = np.arange(len(grades))[:, None]
    others = grades.copy()
    others[rows[:, 0], own] = np.nan
    of_near = others[rows, near]  # (E, n)
    known = ~np.isnan(of_near)
    some = known.any(1)
    pool = (~np.isnan(others)).sum(1)  # (E,)
    good = (others >= threshold).sum(1)  # NaN compares as false
    right = (of_near >= threshold).astype(np.float64)
    chance = [
        1 - comb(int(m - r), int(j)) / comb(int(m), int(j)) for m, r, j in zip(pool, good, known.sum(1), strict=True)
    ]
    first = known[:, 0]
    return ShareRight(
        int(some.sum()),
        int(first.sum()),
        _mean(right[first, 0]),
        _mean(good[first] / np.maximum(pool[first], 1)),
        _mean(right[some].max(1, initial=0.0)),
        _mean(np.array(chance)[some]),
    )


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else float("nan")
