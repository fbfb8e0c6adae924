"""Fusion: scores of several methods as one, by their weighted mean or by reciprocal ranks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from common.errors import RelevanceError
from evaluation.row_scores import RowScores
from evaluation.scores import Fill, Scores

RANK_OFFSET = 60


class FusedScores(RowScores):
    """The weighted mean of the scores of several methods, such as cosine similarities.

    Take it where the scores are on one scale, `ReciprocalRankScores` where they are not. It is computed in blocks, with
    one more block than its parts need.

    Args:
        parts: scores of M methods, of one shape, on one device.
        weights: M numbers >= 0, divided by their sum; default: all equal.

    Raises:
        RelevanceError: parts of different shapes, or weights that are no weights of them.

    >>> from evaluation.scores import MatrixScores
    >>> parts = [MatrixScores(torch.tensor([[1.0, 0.0]])), MatrixScores(torch.tensor([[0.0, 0.5]]))]
    >>> FusedScores(parts, [1, 3]).block(slice(1), slice(2)).tolist()
    [[0.25, 0.375]]
    """

    def __init__(self, parts: Sequence[Scores], weights: Sequence[float] | None = None) -> None:
        super().__init__(parts)
        self.weights = checked_weights(weights, len(parts))

    def rows(self, parts: list[Tensor]) -> Tensor:
        """The mean."""
        fused = parts[0] * self.weights[0]
        for part, weight in zip(parts[1:], self.weights[1:], strict=True):
            fused += part * weight
        return fused

    def filler(self, rows: int, width: int) -> Fill:
        """Like `Scores.filler`, one part after the other."""
        if self.columns is not None:
            return super().filler(rows, width)
        fills = [part.filler(rows, width) for part in self.parts]
        columns = -(-self.items // width) * width
        block = torch.empty(rows, columns, device=self.device)

        def fill(queries: slice, out: Tensor) -> None:
            for number, (fill_part, weight) in enumerate(zip(fills, self.weights, strict=True)):
                fill_part(queries, block)
                block.mul_(weight)  # in this order as in `rows`, so that both give the same last digits
                out.copy_(block) if number == 0 else out.add_(block)

        return fill


class ReciprocalRankScores(RowScores):
    """Reciprocal rank fusion: the sum over methods of 1 / (60 + rank) of an item among all items of a query.

    It needs no common scale, and loses how far apart scores are. Tied items share their mean rank, so that their order
    in the pool counts for nothing. The two directions are fused each by its own ranks.

    Args:
        parts: scores of M methods, of one shape, on one device.
        offset: what is added to a rank; the larger, the less the first places count for.

    Source: Cormack, Clarke & Büttcher 2009, "Reciprocal rank fusion outperforms Condorcet and individual rank learning
    methods", whose offset is 60.
    """

    def __init__(self, parts: Sequence[Scores], offset: float = RANK_OFFSET) -> None:
        super().__init__(parts)
        if not offset >= 0:
            raise RelevanceError(f"the offset of ranks is {offset}: give at least 0")
        self.offset = offset

    def rows(self, parts: list[Tensor]) -> Tensor:
        """The sums, taken in float64."""
        return torch.stack([1 / (self.offset + mean_ranks(part)) for part in parts]).sum(0).float()


def mean_ranks(scores: Tensor) -> Tensor:
    """The rank from 1 of each score in its row (Q, N) float64, the highest first; tied ones share their mean rank.

    >>> mean_ranks(torch.tensor([[0.5, 0.9, 0.5, 0.1]]))
    tensor([[2.5000, 1.0000, 2.5000, 4.0000]], dtype=torch.float64)
    """
    scores = scores.contiguous()
    ascending = scores.sort(dim=1).values
    lower = torch.searchsorted(ascending, scores)
    up_to = torch.searchsorted(ascending, scores, right=True)  # lower and equal ones
    return scores.shape[1] + 0.5 - (lower + up_to).double() / 2


def checked_weights(weights: Sequence[float] | None, parts: int) -> list[float]:
    """Weights of the parts that sum to 1.

    Raises:
        RelevanceError: another number of them, or they are negative, not finite, or all 0.
    """
    given = [1.0] * parts if weights is None else [float(weight) for weight in weights]
    if len(given) != parts:
        raise RelevanceError(f"{len(given)} weights for {parts} runs: give one for each")
    total = sum(given)
    if not all(weight >= 0 for weight in given) or not 0 < total < float("inf"):
        raise RelevanceError(
            f"weights are {', '.join(f'{weight:g}' for weight in given)}: give numbers >= 0, not all 0"
        )
    return [weight / total for weight in given]
