"""The share of errors that are right, against drawing all near misses that there could be."""

from itertools import combinations

import numpy as np
import pytest

from common.errors import RelevanceError
from evaluation.analyses.near_misses import share_right


def test_shares_and_chance_are_those_of_all_draws() -> None:
    rng = np.random.default_rng(0)
    grades = rng.random((12, 7))
    own = rng.integers(0, 7, 12)
    near = np.array([rng.choice([i for i in range(7) if i != mine], 3, replace=False) for mine in own])
    found = share_right(grades, near, own, 0.7)
    best, any_of, best_drawn, any_drawn = [], [], [], []
    for row in range(12):
        right = [bool(grades[row, item] >= 0.7) for item in range(7)]
        others = [item for item in range(7) if item != own[row]]
        best.append(right[near[row, 0]])
        any_of.append(any(right[item] for item in near[row]))
        best_drawn.append(np.mean([right[item] for item in others]))
        any_drawn.append(np.mean([any(right[item] for item in draw) for draw in combinations(others, 3)]))
    assert found.shares == pytest.approx(tuple(map(np.mean, (best, best_drawn, any_of, any_drawn))))
    assert (found.errors, found.best_known) == (12, 12)


def test_what_is_not_known_is_left_out() -> None:
    nan = np.nan
    grades = np.array([[0.9, nan, 0.6, 0.1], [nan, nan, nan, 1.0], [0.2, 0.8, nan, nan]])
    near = np.array([[1, 2], [1, 2], [1, 2]])
    found = share_right(grades, near, np.array([0, 3, 0]))
    assert (found.errors, found.best_known) == (2, 1)  # the second query's near misses have no grade
    assert (found.best, found.best_chance) == (1.0, 1.0)  # of the third query: its only other graded item is right
    assert (found.any, found.any_chance) == (1.0, (0.5 + 1) / 2)


def test_no_errors() -> None:
    found = share_right(np.empty((0, 5)), np.empty((0, 3), dtype=np.int64), np.empty(0, dtype=np.int64))
    assert found.errors == 0
    assert np.isnan(found.shares).all()


def test_the_annotated_item_is_no_near_miss() -> None:
    with pytest.raises(RelevanceError, match="give errors alone"):
        share_right(np.zeros((1, 3)), np.array([[0, 1]]), np.array([1]))
    with pytest.raises(RelevanceError, match="a row for each error"):
        share_right(np.zeros((2, 3)), np.array([[0, 1]]), np.array([2]))
