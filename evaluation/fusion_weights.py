"""Weights of a fusion, searched on a grid: on a validation split, never on the one that is reported."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import torch

from evaluation.fused_scores import FusedScores
from evaluation.ranking import retrieval_metrics
from evaluation.ranks import Indices, score_blocks
from evaluation.scores import MatrixScores, Scores

FINEST = 10
"""Steps from 0 to 1."""
MOST_POINTS = 300
HELD_ELEMENTS = 2**27
"""Scores that are computed once and kept for the search, of all parts together: 512 MiB."""


def weight_grid(parts: int) -> list[tuple[float, ...]]:
    """All weights that are multiples of 1/n and sum to 1; n is 10, or less where that would be too many.

    Those nearest to equal weights come first.

    >>> weight_grid(2)[:3], len(weight_grid(3)), len(weight_grid(5))
    ([(0.5, 0.5), (0.4, 0.6), (0.6, 0.4)], 66, 210)
    """
    steps = next((n for n in range(FINEST, 1, -1) if math.comb(n + parts - 1, parts - 1) <= MOST_POINTS), 1)
    points = [
        tuple((b - a - 1) / steps for a, b in itertools.pairwise((-1, *bars, steps + parts - 1)))
        for bars in itertools.combinations(range(steps + parts - 1), parts - 1)
    ]
    return sorted(points, key=lambda point: sum(weight**2 for weight in point))


def best_weights(parts: Sequence[Scores], relevant_query: Indices, relevant_item: Indices) -> tuple[list[float], float]:
    """The weights of `weight_grid` with the highest mAP@10 of `FusedScores`, and that mAP@10.

    Of equally good ones those nearest to equal weights are taken.

    Args:
        parts: scores of M methods for the queries and items of a validation split.
        relevant_query: (P,) int64, relevant_item: (P,) int64, as of `evaluation.ranks.count_ranks`.

    Raises:
        RelevanceError: as `FusedScores` and `count_ranks`.
    """
    if sum(part.queries * part.items for part in parts) <= HELD_ELEMENTS:
        parts = [held(part) for part in parts]
    best, highest = [1 / len(parts)] * len(parts), -np.inf
    for weights in weight_grid(len(parts)):
        found = retrieval_metrics(FusedScores(parts, weights), relevant_query, relevant_item).summary()["mAP@10"]
        if found > highest:
            best, highest = list(weights), found
    return best, float(highest)


def held(scores: Scores) -> MatrixScores:
    """The same scores, computed once."""
    return MatrixScores(torch.cat([block[:, : scores.items].clone() for _, block in score_blocks(scores)]))
