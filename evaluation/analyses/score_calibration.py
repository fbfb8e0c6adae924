"""Calibration of scores: what share of the pairs with a score is relevant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from common.errors import RelevanceError
from evaluation.ranks import score_blocks
from evaluation.scores import Scores

Floats = npt.NDArray[np.float64]

EDGES: Floats = np.linspace(-1, 1, 41)
"""Of the bins of a cosine similarity."""


@dataclass(frozen=True)
class ScoreBins:
    """Sums over the pairs whose score is in each of B bins; scores beyond the edges are in the first and last one.

    Attributes:
        edges: (B+1,) ascending.
        pairs: (B,) how many.
        scores: (B,) sum of their scores.
        relevance: (B,) sum of their relevance.
    """

    edges: Floats
    pairs: Floats
    scores: Floats
    relevance: Floats

    def __add__(self, other: ScoreBins) -> ScoreBins:
        """The bins of both sets of pairs."""
        sums = self.pairs + other.pairs, self.scores + other.scores, self.relevance + other.relevance
        return ScoreBins(self.edges, *sums)

    @property
    def mean_score(self) -> Floats:
        """(B,) NaN for an empty bin."""
        return _ratio(self.scores, self.pairs)

    @property
    def mean_relevance(self) -> Floats:
        """(B,) share of relevant pairs, or mean of graded relevance; NaN for an empty bin."""
        return _ratio(self.relevance, self.pairs)


def bins_of_pairs(scores: Floats, relevance: Floats, edges: Floats = EDGES) -> ScoreBins:
    """Bins of P pairs.

    Args:
        scores: (P,).
        relevance: (P,) in [0, 1]; pairs whose relevance is not known (NaN) are left out.
        edges: (B+1,) ascending.

    Raises:
        RelevanceError: unequal lengths, or scores that are NaN.

    >>> bins = bins_of_pairs(np.array([0.1, 0.2, 0.9]), np.array([0.0, 1.0, 1.0]), np.array([0.0, 0.5, 1.0]))
    >>> bins.pairs, bins.mean_relevance
    (array([2., 1.]), array([0.5, 1. ]))
    """
    if scores.shape != relevance.shape or np.isnan(scores).any():
        raise RelevanceError(f"scores {scores.shape}, relevance {relevance.shape}: give both for each pair, none NaN")
    known = ~np.isnan(relevance)
    scores, relevance = scores[known], relevance[known]
    place = np.clip(np.searchsorted(edges, scores, side="right") - 1, 0, len(edges) - 2)
    count = len(edges) - 1
    sums = [np.bincount(place, weights, minlength=count) for weights in (None, scores, relevance)]
    return ScoreBins(edges, *(each.astype(np.float64) for each in sums))


@torch.no_grad()
def bins_of_scores(scores: Scores, relevance_of: Callable[[slice], Tensor]) -> ScoreBins:
    """Bins of all pairs of Q queries and N items, in blocks of queries.

    Args:
        scores: of all queries and items.
        relevance_of: from a slice of queries to the relevance (q, N) of all items; NaN where it is not known.

    Raises:
        RelevanceError: as `evaluation.ranks.score_blocks`.
    """
    total = bins_of_pairs(np.empty(0), np.empty(0))
    for rows, block in score_blocks(scores, block_elements=2**22):
        given = block[:, : scores.items].double().cpu().numpy().ravel()
        total += bins_of_pairs(given, relevance_of(rows).double().cpu().numpy().ravel())
    return total


def _ratio(sums: Floats, counts: Floats) -> Floats:
    ratio: Floats = np.divide(sums, counts, out=np.full(len(counts), np.nan), where=counts > 0)
    return ratio
