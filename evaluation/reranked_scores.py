"""Reranking: the best items of a first method, ordered again with the scores of a second one."""

from __future__ import annotations

import torch
from torch import Tensor

from common.errors import RelevanceError
from evaluation.row_scores import RowScores
from evaluation.scores import Scores

GAP = 1e-3
"""Between the last candidate and what follows it, relative to the candidate's score."""


class RerankedScores(RowScores):
    """Scores of a first method whose k best items of each query a second method orders again.

    The candidates are all items that the first method ranks among the first k of the query (and those that tie with the
    k-th), whether they are relevant or not; nothing else is known here. Their score is (1 - weight) * first + weight *
    second. All other items stay behind them, in the order of the first method. Each direction takes its own candidates:
    what is reranked for one direction is never used for the other.

    Args:
        first: scores that choose the candidates.
        second: of the same queries and items.
        top: k, how many candidates a query has.
        weight: of the second method, from 0 (the first one's ranking) to 1 (candidates by the second alone).

    Raises:
        RelevanceError: scores of different shapes, `top` below 1, or another weight.

    >>> from evaluation.scores import MatrixScores
    >>> first, second = MatrixScores(torch.tensor([[0.9, 0.8, 0.1]])), MatrixScores(torch.tensor([[0.0, 0.5, 1.0]]))
    >>> RerankedScores(first, second, top=2, weight=1.0).block(slice(1), slice(3)).argsort(descending=True).tolist()
    [[1, 0, 2]]
    """

    def __init__(self, first: Scores, second: Scores, top: int = 50, weight: float = 0.5) -> None:
        super().__init__([first, second])
        if top < 1:
            raise RelevanceError(f"top is {top}: give at least 1 candidate")
        if not 0 <= weight <= 1:
            raise RelevanceError(f"the weight of the second method is {weight}: give a number from 0 to 1")
        self.top, self.weight = top, weight

    def rows(self, parts: list[Tensor]) -> Tensor:
        """See `reranked`."""
        return reranked(parts[0], parts[1], self.top, self.weight)


def reranked(first: Tensor, second: Tensor, top: int, weight: float) -> Tensor:
    """The scores (Q, N) of `RerankedScores` from those of both methods (Q, N)."""
    last = first.topk(min(top, first.shape[1]), dim=1).values[:, -1:]  # (Q, 1)
    candidates = first >= last
    mixed = (1 - weight) * first + weight * second
    lowest = torch.where(candidates, mixed, torch.inf).amin(1, keepdim=True)
    best_of_rest = torch.where(candidates, -torch.inf, first).amax(1, keepdim=True)
    below = lowest - GAP * lowest.abs().clamp(min=1)  # where the others begin
    return torch.where(candidates, mixed, first - best_of_rest + below)
